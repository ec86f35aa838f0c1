"""The executor that a command asked for, with what it holds for the time of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import ConfigError
from harness.executors.executor import Executor
from harness.executors.local import LocalExecutor
from harness.progress import Reporter
from harness.remote_store import RemoteStore
from harness.store import Store


@contextmanager
def executor(
    name: str, address: str | None, remote_url: str | None, store: Store, reporter: Reporter, *, keep_going: bool
) -> Iterator[tuple[Executor, str | None]]:
    """(the executor ``name``, the kind of device to plan for or None for this machine's).

    Raises ConfigError or EnvironmentFault where its cluster or the remote store cannot be used.
    """
    remote = RemoteStore(remote_url) if remote_url else None
    if remote is not None:
        remote.require()
    if name == "local":
        if address is not None:
            raise ConfigError("--address belongs to --executor ray.")
        yield LocalExecutor(store, reporter, keep_going=keep_going, remote=remote), None
        return
    from harness.executors import ray_cluster
    from harness.executors.ray import RayExecutor

    with ray_cluster.connected(address, store.root / "logs" / "ray.log") as cluster:
        yield RayExecutor(store, reporter, cluster, keep_going=keep_going, remote=remote), cluster.device
