"""A Ray cluster as the driver sees it: joined or started for this run, its nodes and what they have.

Ray is imported here and not before somebody asks for it.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import masking
from harness.errors import ConfigError, EnvironmentFault

CONNECT_SECONDS = 20.0
GIB = 1 << 30
TOKEN = "RAY_AUTH_TOKEN"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
START = "ray start --head   starts one on the machine that it names; docs/scale.md has more"


@dataclass(frozen=True)
class Node:
    """One machine of the cluster: what it has in all, whoever uses it."""

    name: str
    gpus: int
    cpus: int
    memory: int
    """Bytes that Ray gives out."""


class Cluster:
    """A connection to Ray."""

    @property
    def nodes(self) -> list[Node]:
        """The nodes that are alive."""
        import ray

        return [_node(each) for each in ray.nodes() if each["Alive"]]

    @property
    def device(self) -> str:
        """What stages are planned for: ``cuda`` if any node has a GPU."""
        return "cuda" if any(node.gpus for node in self.nodes) else "cpu"


def _node(told: dict[str, Any]) -> Node:
    has = told["Resources"]
    counted = (int(has.get(name, 0)) for name in ("GPU", "CPU", "memory"))
    return Node(told["NodeID"], *counted)


@contextmanager
def connected(address: str | None, log: Path) -> Iterator[Cluster]:
    """Join the cluster at ``address`` (HOST:PORT, default RAY_ADDRESS), or start one on this machine for a while.

    Raises EnvironmentFault where Ray is not installed or the address does not answer, ConfigError for what is no
    address. What was started here is stopped at the end, and nothing else. What Ray prints meanwhile goes to ``log``:
    standard output is for results.
    """
    if importlib.util.find_spec("ray") is None:
        raise EnvironmentFault(
            "Ray is not installed here.", "pip install 'bridgebench[ray]', or leave out --executor ray to run locally"
        )
    address = address or os.environ.get("RAY_ADDRESS")
    if address is not None:
        _require_reachable(address)
    handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    ray = _imported(address)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as printed, redirect_stdout(printed):
        try:
            _join(ray, address)
            for each, handler in handlers.items():  # Ray puts its own in their place
                signal.signal(each, handler)
            yield Cluster()
        finally:
            ray.shutdown()


def _imported(address: str | None) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_py_gcs_connect_timeout_s", str(int(CONNECT_SECONDS)))
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # attempts to join, not seconds
    if address is None:
        # anyone who reaches its ports could otherwise run code; a cluster's token is its owner's to set
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault(TOKEN, secrets.token_hex(32))
    if address is None or split(address)[0] in LOOPBACK:
        # Ray would put this machine's outer address in place of the loopback one
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    return ray


def _join(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    try:
        if address is None:
            with _without_secrets():
                ray.init("local", include_dashboard=False, object_store_memory=100 << 20, **quiet)
        else:
            ray.init(address, **quiet)
    except (RuntimeError, ConnectionError, TimeoutError, ValueError) as error:
        what = "a Ray of this machine's own could not be started" if address is None else f"no Ray joined at {address}"
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise EnvironmentFault(f"{what}: {' '.join(lines[:4])}", START) from None


@contextmanager
def _without_secrets() -> Iterator[None]:
    """What is started meanwhile gets this process's environment without its secrets, but for Ray's own token."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name != TOKEN and masking.is_secret(name)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def split(address: str) -> tuple[str, int]:
    """(host, port). Raises ConfigError for what is no HOST:PORT."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise ConfigError(
            f'"{address}" is no address of a Ray cluster.',
            "give the head node's HOST:PORT, e.g. --address 10.0.0.7:6379",
        )
    return host.strip("[]"), int(port)


def _require_reachable(address: str) -> None:
    """Raise EnvironmentFault unless the cluster's head answers in `CONNECT_SECONDS`; Ray itself would wait a minute."""
    host, port = split(address)
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS):
            return
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise EnvironmentFault(
            f"no Ray cluster can be reached at {address} within {CONNECT_SECONDS:g} s ({why}).", START
        ) from None
