"""Time the make targets that have a limit, in a fresh clone: quickstart, quickstart again, test.

    python benchmarks/time_targets.py [--clone DIR] [quickstart repeat test]

Each target's wall time and last line go to ``benchmarks/results/time_targets.json`` beside the machine and the
commit; targets that are not named keep what an earlier call measured. Half an hour on two cores; let nothing else run
beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "time_targets.json"
LIMITS_SECONDS = {"quickstart": 25 * 60, "repeat": 15, "test": 12 * 60}
MAKE = {"quickstart": "quickstart", "repeat": "quickstart", "test": "test"}


def main() -> None:
    """Measure the named targets, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=[*LIMITS_SECONDS], choices=[*LIMITS_SECONDS])
    parser.add_argument("--clone", type=Path, help="an existing fresh clone; a temporary one is made otherwise")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        clone = arguments.clone or fresh_clone(Path(temporary) / "bridgebench")
        for target in arguments.targets:
            record(target, measure(target, clone))


def fresh_clone(folder: Path) -> Path:
    """A clone of this checkout's last commit."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def measure(target: str, clone: Path) -> dict[str, Any]:
    """Run one target; returns its wall time, exit code, last line and where it ran."""
    begin = time.monotonic()
    done = subprocess.run(["make", MAKE[target]], cwd=clone, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.monotonic() - begin
    if done.returncode:
        print(done.stdout[-4000:])
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True, check=True)
    return {
        "command": f"make {MAKE[target]}",
        "seconds": round(seconds, 1),
        "limit_seconds": LIMITS_SECONDS[target],
        "exit_code": done.returncode,
        "last_line": (done.stdout.strip().splitlines() or [""])[-1],
        "commit": commit.stdout.strip(),
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """Processor, cores, memory, Python."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
    }


def record(target: str, measured: dict[str, Any]) -> None:
    """Merge one measurement into the result file."""
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(results | {target: measured}, indent=2) + "\n")
    print(f"{target}: {measured['seconds']} s of {measured['limit_seconds']} s, exit code {measured['exit_code']}")


if __name__ == "__main__":
    main()
