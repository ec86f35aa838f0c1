"""Damage to files of a store: a line torn by a kill, an artefact that rots."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

from harness import files
from harness.store import MANIFEST
from tests.faults import comparison, kills
from tests.faults.driver import ROOT
from tests.faults.scene import Scene

APPENDED = ("judge/*/answers.jsonl", "spending/*.jsonl", "train/*/metrics.jsonl")


class TornLine:
    """A driver killed while it judges, and the last line of every file that was being appended to cut in its middle."""

    name = "torn last line"

    def impossible(self) -> str | None:
        """Always possible."""
        return None

    def inflict(self, scene: Scene) -> None:
        """Kill, then cut."""
        dataclasses.replace(kills.DRIVER, kinds=("judge",), prepared=1).inflict(scene)
        done = comparison.finished(scene.store)
        open_files = [path for pattern in APPENDED for path in scene.store.glob(pattern) if name_of(path) not in done]
        scene.log["torn"] = [str(path.relative_to(scene.store)) for path in open_files if tear(path, scene)]


def name_of(path: Path) -> str:
    """``kind/key`` of a file that lies in a folder named like its kind."""
    return f"{path.parent.parent.name}/{path.parent.name}"


def tear(path: Path, scene: Scene) -> bool:
    """Cut the last line somewhere between its first byte and its end; False if there is no line."""
    data = path.read_bytes()
    start = data.rstrip(b"\n").rfind(b"\n") + 1
    if len(data) - start < 3:
        return False
    path.write_bytes(data[: scene.rng.randint(start + 1, len(data) - 2)])
    return True


class CorruptArtefact:
    """One byte of a finished artefact changes on the disk."""

    name = "corrupted artefact"

    def impossible(self) -> str | None:
        """Always possible."""
        return None

    def inflict(self, scene: Scene) -> None:
        """``verify`` names the file, and the stage is run again when its removal was asked for."""
        scene.baseline.copy_all(scene.store)
        manifest = scene.rng.choice(sorted(scene.store.glob(f"*/*/{MANIFEST}")))
        told = files.read_json(manifest)
        relative = scene.rng.choice(sorted(name for name, file in told["files"].items() if file["bytes"]))
        flip(manifest.parent / relative, scene)
        stage = f"{told['kind']}/{told['key']}"
        found = bridgebench(scene, "verify")
        expected = f"{stage}/{relative}: differs from its manifest"
        scene.require(found.returncode == 4, f"verify ended with {found.returncode}: {found.stdout}")
        scene.require(expected in found.stdout, f"verify did not say {expected}: {found.stdout}")
        removed = bridgebench(scene, "gc", "--remove", stage, "--yes")
        scene.require(removed.returncode == 0, f"gc --remove ended with {removed.returncode}: {removed.stderr}")
        run = scene.start()
        code = run.end()
        scene.log |= {"running": [], "exit_code": code, "damaged": f"{stage}/{relative}"}
        scene.require(code == 0, f"exit code {code} after a removal: {run.errors}")
        scene.require(run.names("finished") == [stage], f"{run.names('finished')} ran again, not {stage}")
        clean = bridgebench(scene, "verify")
        scene.require(clean.returncode == 0, f"verify still ends with {clean.returncode}: {clean.stdout}")


def flip(path: Path, scene: Scene) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[scene.rng.randrange(len(data))] ^= 1 << scene.rng.randrange(8)
    path.write_bytes(data)


def bridgebench(scene: Scene, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Another verb on the trial's store."""
    command = [sys.executable, "-m", "harness", "--results", str(scene.store), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
