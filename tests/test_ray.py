"""The Ray executor: what is refused before anything runs, and a cluster of two nodes that loses one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness import files, memory
from harness.errors import EnvironmentFault
from harness.executors import ray_cluster
from harness.executors.places import Work
from harness.executors.ray_cluster import Node
from harness.executors.ray_pool import RayPool
from tests.ray_nodes import TwoNodes, two_nodes
from tests.sockets import LOOPBACK, family, listening
from tests.test_smoke import ROOT, SMALL, bridgebench, results, wait_for_stage

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
TIMES = {"created", "provenance", "train_seconds", "train_tokens_per_second", "seconds", "started", "finished"}


def test_without_ray_its_executor_is_refused_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None)
    with (
        pytest.raises(EnvironmentFault, match="Ray is not installed") as caught,
        ray_cluster.connected(None, tmp_path / "log"),
    ):
        pass
    assert "bridgebench[ray]" in caught.value.hint


@needs_ray
def test_an_address_that_is_none_or_that_nobody_answers_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = f"127.0.0.1:{closed.getsockname()[1]}"
        for address, code, said in (("nonsense", 2, "no address of a Ray cluster"), (refused, 3, "no Ray cluster")):
            done = bridgebench(tmp_path, "run", "smoke", "--executor", "ray", "--address", address, check=code)
            assert said in done.stderr
            assert address in done.stderr
    assert not list(tmp_path.rglob("manifest.json"))


@needs_ray
def test_a_server_that_is_no_ray_is_given_up_after_a_bounded_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_py_gcs_connect_timeout_s", "2")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = bridgebench(tmp_path, "run", "smoke", "--executor", "ray", "--address", address, check=3)
    assert f"no Ray joined at {address}" in done.stderr


@dataclass
class Machines:
    """Stands for a cluster whose machines this one does not have; nothing is run on it."""

    nodes: list[Node]


def test_a_stage_that_no_node_can_hold_is_refused_with_the_numbers() -> None:
    small, large = Node("a", gpus=2, cpus=8, memory=memory.GIB), Node("b", gpus=4, cpus=16, memory=4 * memory.GIB)
    pool = RayPool(Machines([small, large]))  # type: ignore[arg-type]
    pool.require(4, "train sft")
    with pytest.raises(
        EnvironmentFault, match="train sft asks for 8 GPUs on one node; the largest of the 2 nodes has 4"
    ):
        pool.require(8, "train sft")
    work = Work("train/x", Path("spec.json"), Path("log"), gpus=4, memory=5 * memory.GIB)
    with pytest.raises(EnvironmentFault, match=r"needs 4 GPUs, 4 cores and 5\.0 GiB .* 4 GPUs, 16 cores, 4\.0 GiB"):
        pool.needs(work, patience=0)


def test_a_cluster_has_a_place_a_gpu_or_else_one_a_machine() -> None:
    def size(*nodes: Node) -> int:
        return RayPool(Machines(list(nodes))).size  # type: ignore[arg-type]

    assert size(Node("a", 2, 8, 0), Node("b", 4, 8, 0), Node("login", 0, 2, 0)) == 6
    assert size(Node("a", 0, 8, 0), Node("b", 0, 8, 0), Node("head", 0, 0, 0)) == 2
    assert size(Node("head", 0, 0, 0)) == 1


def timeless(value: Any) -> Any:
    """``value`` without what differs between two runs of the same work."""
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items() if name not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def watch(child: subprocess.Popen[str], nodes: TwoNodes) -> tuple[str, list[dict[str, Any]]]:
    """(the stage under which the second node was killed, all events of the run)."""
    events, on_second, victim = [], set(), ""
    assert child.stderr is not None
    for line in child.stderr:
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        events.append(event)
        if event.get("node") == nodes.second and event["stage"].partition("/")[0] in ("train", "reference", "generate"):
            on_second.add(event["stage"])
        elif not victim and event.get("stage") in on_second and event["event"] == "progress":
            victim = event["stage"]
            nodes.kill_second()
    return victim, events


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_loses_a_node_under_a_stage_gives_what_this_machine_alone_gives(tmp_path: Path) -> None:
    local, spread = tmp_path / "local", tmp_path / "spread"
    bridgebench(local, "run", "smoke")
    with two_nodes(tmp_path / "nodes.log") as nodes:
        command = ["run", "smoke", "--executor", "ray", "--address", nodes.address, "--json"]
        child = subprocess.Popen(
            [sys.executable, "-m", "harness", "--results", str(spread), *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        victim, events = watch(child, nodes)
        said, _ = child.communicate()
        again = bridgebench(spread, *command)
    assert child.returncode == 0, events[-3:]
    assert any(victim in event["text"] and "again" in event["text"] for event in events if event["event"] == "message")
    finished = [event["stage"] for event in events if event["event"] == "finished"]
    assert len(finished) == len(set(finished)) == json.loads(said)["executed"] == 26
    assert json.loads(again.stdout)["executed"] == 0
    assert results(spread) == results(local)
    boards = [timeless(files.read_json(store / "boards" / "smoke" / "data.json")) for store in (spread, local)]
    assert boards[0] == boards[1]


def of_store(store: Path) -> list[str]:
    """Command lines of the processes that work for a store, and of every Ray that this test did not find running."""
    lines = [command_line(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [line for line in lines if str(store) in line or "/ray/core/src/" in line]


def command_line(pid: int) -> str:
    """Words with spaces between; empty for a process that is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


@needs_ray
@pytest.mark.slow
def test_a_local_ray_is_closed_to_others_and_ends_with_an_interrupted_run(tmp_path: Path) -> None:
    before = Counter(of_store(tmp_path))
    command = [sys.executable, "-m", "harness", "--results", str(tmp_path), "run", "smoke", *SMALL, "--executor", "ray"]
    planted = {"SOME_API_KEY": "planted-secret"}
    child = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **planted}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_stage(tmp_path, "data", seconds=600)
    rays = family(child.pid)[1:]
    lines = {pid: command_line(pid) for pid in rays}
    assert any("/gcs_server" in line for line in lines.values())
    assert set(listening(rays)) <= LOOPBACK
    for pid in rays:
        with contextlib.suppress(OSError):
            assert b"planted-secret" not in Path(f"/proc/{pid}/environ").read_bytes(), lines[pid]
    assert "token" in refusal_without_token(" ".join(lines.values()))
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate()
    assert child.returncode == 130
    assert "the same command continues" in said
    assert "Traceback" not in said
    assert Counter(of_store(tmp_path)) - before == Counter()


def refusal_without_token(lines: str) -> str:
    """What somebody without the token hears who asks the head, whose address the nodes' command lines tell."""
    found = re.search(r"--gcs-address=(127\.0\.0\.1:\d+)", lines)
    assert found, lines
    code = f"from ray._raylet import GcsClient; print(GcsClient(address='{found[1]}').get_all_node_info())"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    return done.stderr
