"""Files → verdict lines of one benchmark, one list per model in the order of the files."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from harness.adapters import arena_hard, verdict_files
from harness.adapters.verdict_files import ALPACA, BATTLES, JUDGMENTS, OWN, PREFERENCES, RATINGS, Format, own_failure
from harness.errors import ConfigError
from harness.protocols import arena_hard as arena_protocol
from harness.protocols import mt_bench as mt_protocol
from harness.score.request import Request

Line = dict[str, Any]

ACCEPTED: dict[str, tuple[Format, ...]] = {
    "alpaca_eval": (OWN, ALPACA, PREFERENCES),
    "arena_hard": (OWN, JUDGMENTS, BATTLES),
    "arena_hard_v2": (OWN, JUDGMENTS, BATTLES),
    "mt_bench": (OWN, RATINGS),
}
OTHER = (OWN, ALPACA, PREFERENCES)


def read(request: Request) -> tuple[Format, dict[str, list[Line]]]:
    """The files' format, and each model's lines.

    Raises ConfigError for files that are not the benchmark's, two judges or baselines in one row, and duplicates.
    """
    found, lines = verdict_files.read(request.files)
    accepted = ACCEPTED.get(request.benchmark, OTHER)
    if found not in accepted:
        raise ConfigError(
            f"{request.files[0]} holds {found.name}, and --benchmark is {request.benchmark}.",
            "that benchmark reads " + "; ".join(kind.name for kind in accepted),
        )
    lines = [_translated(line, found, request.benchmark) for line in _against(lines, request.baseline)]
    models: dict[str, list[Line]] = {}
    for line in lines if found.may_repeat else _without_duplicates(lines, request):
        models.setdefault(str(line["model"]), []).append(line)
    if request.benchmark != "mt_bench":
        models = {model: _with_preferences(own) for model, own in models.items()}
    for model, own in models.items():
        _refuse_several(model, own, "judge", "score each judge's verdicts in a call of its own")
        _refuse_several(model, own, "baseline", "--baseline NAME   takes the verdicts against one of them")
    return found, models


def _against(lines: list[Line], baseline: str | None) -> list[Line]:
    if baseline is None:
        return lines
    kept = [line for line in lines if line.get("baseline") in (None, baseline)]
    if not kept:
        known = ", ".join(sorted({str(line["baseline"]) for line in lines}))
        raise ConfigError(f'no verdict is against "{baseline}".', f"baselines in these files: {known}")
    return [line | {"baseline": baseline} for line in kept]


def _translated(line: Line, kind: Format, benchmark: str) -> Line:
    if kind is JUDGMENTS:
        return arena_hard.parsed(line, "v2" if benchmark == "arena_hard_v2" else "v0.1")
    if kind is OWN and benchmark.startswith("arena_hard"):
        return _own_game(line)
    if kind is OWN and benchmark == "mt_bench":
        return _own_rating(line)
    return line


def _with_preferences(lines: list[Line]) -> list[Line]:
    """In a row of preferences a line with a score alone has no verdict: the other side of the pair failed."""
    if all(line["preference"] is None for line in lines):
        return lines
    return [
        line | {"failure": own_failure(line)} if line["preference"] is None and line["failure"] is None else line
        for line in lines
    ]


def _own_game(line: Line) -> Line:
    """Our verdict of a game; a label decides its weight, and the preference must agree with it."""
    label, weight = line.get("label"), 1
    if label in arena_protocol.LABELS and line["preference"] is not None:
        game = 2 if line.get("order") in ("model_first", "ba") else 1
        found = arena_protocol.outcome(label, game)
        if found.preference != line["preference"]:
            raise ConfigError(
                f"{line['source']}: the label {label} in order {line.get('order')} does not mean "
                f"preference {line['preference']}."
            )
        weight = found.weight
    return line | {"weight": weight}


def _own_rating(line: Line) -> Line:
    """Our verdict of a turn: ``rating`` of 1 to 10, or a ``score`` of 0 to 1, which is (rating - 1) / 9."""
    if "turn" not in line:
        raise ConfigError(f"{line['source']}: a verdict of MT-Bench names its turn.")
    rating, score = line.get("rating"), line.get("score")
    if rating is None and score is not None:
        rating = mt_protocol.LOWEST + score * (mt_protocol.HIGHEST - mt_protocol.LOWEST)
    return line | {"rating": rating}


def _without_duplicates(lines: list[Line], request: Request) -> list[Line]:
    """Each (model, judge, item, order or turn) once; which one is kept is the caller's choice."""
    found: dict[Hashable, Line] = {}
    n_repeats = 0
    for line in lines:
        key = tuple(str(line.get(part)) for part in ("model", "baseline", "judge", "prompt_id", "order", "turn"))
        if key not in found:
            found[key] = line
            continue
        n_repeats += 1
        if request.duplicates == "error":
            raise _duplicate(found[key], line)
        if request.duplicates == "last":
            found[key] = line
    if n_repeats:
        request.notes.append(f"{n_repeats} repeated verdicts: the {request.duplicates} of each was taken")
    return list(found.values())


def _duplicate(first: Line, second: Line) -> ConfigError:
    turn = f", turn {second['turn']}" if second.get("turn") else ""
    item = str(second["prompt_id"])
    shown = item if len(item) <= 60 else item[:57] + "..."
    return ConfigError(
        f'{second["model"]} has two verdicts on "{shown}"{turn}: {first["source"]} and {second["source"]}.',
        "--duplicates first|last   says which to take; averaging reruns would count some items twice",
    )


def _refuse_several(model: str, lines: list[Line], key: str, hint: str) -> None:
    found = sorted({str(line[key]) for line in lines if line.get(key) is not None})
    if len(found) > 1:
        raise ConfigError(f"{model} has verdicts with {len(found)} values of {key}: {', '.join(found)}.", hint)
