"""The Ray executor: the driver of `harness.executors.local`, whose trainers and engines run in a cluster.

The driver keeps what has one place only: the plan, the stages' locks, the display, and the stages that are its own (an
endpoint's key and the ledger of what was spent never leave it). Every node sees the store at the same path.
"""

from __future__ import annotations

from harness.executors.local import LocalExecutor
from harness.executors.ray_cluster import Cluster
from harness.executors.ray_pool import RayPool
from harness.progress import Reporter
from harness.remote_store import RemoteStore
from harness.store import Store


class RayExecutor(LocalExecutor):
    """Runs a plan's stages in a Ray cluster."""

    def __init__(
        self,
        store: Store,
        reporter: Reporter,
        cluster: Cluster,
        *,
        keep_going: bool = True,
        remote: RemoteStore | None = None,
    ) -> None:
        super().__init__(store, reporter, keep_going=keep_going, pool=RayPool(cluster), remote=remote)
