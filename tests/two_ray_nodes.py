"""Two Ray nodes on this machine, for a test: ``python -m tests.two_ray_nodes``.

Prints ``{"address", "second"}`` (the head's address, the second node's id). A line on standard input kills the second
node as a power cut would; the end of standard input ends both.
"""

from __future__ import annotations

import json
import os
import sys

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # nodes on the loopback address
    # a machine that is busy with other tests is slow, not dead
    "RAY_health_check_timeout_ms": "120000",
    "RAY_worker_register_timeout_seconds": "300",
}

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1"}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        second = cluster.add_node(**NODE)
        print(json.dumps({"address": cluster.address, "second": second.node_id}), flush=True)
        for _ in sys.stdin:
            cluster.remove_node(second, allow_graceful=False)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
