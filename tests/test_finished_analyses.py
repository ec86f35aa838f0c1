"""Which finished analysis a board shows and claim (c) reads, from manifests alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import files
from harness.analysis import finished
from harness.analysis.roles import MEASURED, MODEL, REFERENCE
from harness.board_evidence import StoreEvidence
from harness.boards import check
from harness.claims import agreement, writing
from harness.errors import ConfigError
from harness.store import Store
from tests.test_claims import STUDY, board, values_report

BASE, OTHER = "convert/" + "b" * 16, "convert/" + "c" * 16


def trained(number: int) -> str:
    return f"train/{number:016x}"


def rows(*names: str) -> list[dict[str, Any]]:
    """Rows of a board, each with a checkpoint of its own."""
    keys = ({"model": BASE, "train": trained(n)} for n in range(len(names)))
    return [{"row": name, "stage_keys": each} for name, each in zip(names, keys, strict=True)]


def add(store: Store, key: str, kind: str, models: dict[str, str], estimates: Any = None, **more: Any) -> str:
    """A finished analysis of ``models`` (its name of a row → checkpoint)."""
    inputs = {MODEL + name: model for name, model in models.items()}
    inputs |= {REFERENCE + name: more.get("reference", BASE) for name in models}
    inputs |= {MEASURED + name: "analyze/" + "a" * 16 for name in models}
    directory = store.path("analysis", key * 16)
    files.write_json(directory / "estimates.json", estimates or {"rows": {name: {} for name in models}})
    files.write_json(directory / "pictures.json", {})
    manifest = {"key": key * 16, "kind": "analysis", "inputs": inputs, "finished": more.get("finished", "2026-01-01")}
    identity = {"analysis": kind, "reference": "base", "rows": list(models)}
    summary = {"rows": len(models), "n": more.get("n", 160)}
    files.write_json(directory / "manifest.json", {**manifest, "identity": identity, "summary": summary})
    return f"analysis/{key * 16}"


def test_the_analysis_of_most_rows_then_of_most_examples_then_the_latest_is_shown(tmp_path: Path) -> None:
    store, shown = Store(tmp_path), rows("sft", "sft+dpo")
    assert finished.of_rows(shown, store) == {}
    one = add(store, "1", "drift", {"sft": trained(0)}, n=900)
    assert finished.of_rows(shown, store) == {"drift": one}
    both = {"sft": trained(0), "sft+dpo": trained(1)}
    add(store, "2", "drift", both, n=64, finished="2026-02-02")
    more = add(store, "3", "drift", both, n=128)
    assert finished.of_rows(shown, store) == {"drift": more}
    latest = add(store, "4", "drift", both, n=128, finished="2026-01-02")
    values = add(store, "5", "values", both)
    assert finished.of_rows(shown, store) == {"drift": latest, "values": values}


def test_an_analysis_of_other_checkpoints_or_against_another_reference_is_not_the_boards(tmp_path: Path) -> None:
    store, shown = Store(tmp_path), rows("sft")
    add(store, "1", "values", {"sft": trained(7)})
    add(store, "2", "values", {"sft": trained(0)}, reference=OTHER)
    add(store, "3", "values", {"sft": trained(0)}, reference=trained(0))
    assert finished.of_rows(shown, store) == {}
    assert finished.of_rows([{"row": "refused", "stage_keys": {}}], store) == {}


def test_figures_come_under_the_boards_names_of_the_same_checkpoints(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pairs = [{"a": "mine/a", "b": "mine/b"}, {"a": "mine/a", "b": "gone"}]
    estimates = {"rows": {"mine/a": {"n": 1}, "mine/b": {"n": 2}, "gone": {}}, "agreement": {"value": pairs}}
    models = {"mine/a": trained(0), "mine/b": trained(1), "gone": trained(9)}
    name = add(store, "1", "values", models, estimates)
    said = finished.read(name, rows("sft", "sft+dpo"), StoreEvidence(store))
    assert said is not None
    assert said["rows"] == {"sft": {"n": 1}, "sft+dpo": {"n": 2}}
    assert said["agreement"]["value"] == [{"a": "sft", "b": "sft+dpo"}]
    assert finished.read("analysis/" + "9" * 16, rows("sft"), StoreEvidence(store)) is None


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Store]:
    """The study's board in a store, its verdicts at hand, no analysis yet."""
    described, verdicts = board({})
    for number, row in enumerate(described["rows"]):
        row["stage_keys"] = {"model": BASE} | ({} if row["row"] == "base" else {"train": trained(number)})
    directory = tmp_path / "results" / "boards" / STUDY
    files.write_json(directory / "data.json", described)
    monkeypatch.setattr("harness.board_evidence.Board.all_verdicts", lambda self: {"microtasks": verdicts})
    return directory, Store(tmp_path / "results")


def verdict_c(directory: Path, store: Store, values: Path | None = None) -> tuple[dict[str, Any], str | None]:
    made, _ = writing.run(STUDY, store, None, values)
    assert (directory / "claims.html").is_file()
    told = next(line for line in made["claims"] if line["claim"] == "c")
    return told, made["values_analysis"]


def test_claim_c_reads_the_finished_values_analysis_by_itself_and_names_it(study: tuple[Path, Store]) -> None:
    directory, store = study
    told, used = verdict_c(directory, store)
    assert (told["verdict"], used) == ("cannot tell", None)
    assert told["why"] == f"no values analysis; run `bridgebench analyze values {STUDY}`"
    data = files.read_json(directory / "data.json")
    models = {row["row"]: row["stage_keys"]["train"] for row in data["rows"] if row["row"] != "base"}
    estimates = values_report(0.8) | {"rows": {name: {"pairs": 640} for name in models}}
    name = add(store, "1", "values", models, estimates)
    told, used = verdict_c(directory, store)
    assert (told["verdict"], told["seeds"], told["n"], used) == ("supported", 3, 640, name)
    assert told["effect"] == pytest.approx(0.7)  # of the correlation given V_0, not of the plain 0.9
    assert name in (directory / "claims.md").read_text()
    assert name in (directory / "claims.html").read_text()
    # a report that somebody gives stands in its place from then on
    files.write_json(directory.parent / "given.json", values_report(-0.3, p=1.0))
    told, used = verdict_c(directory, store, directory.parent / "given.json")
    assert (told["verdict"], used) == ("not supported", "a file, given with --values")
    assert verdict_c(directory, store) == (told, used)


def test_a_report_without_intervals_of_the_agreement_given_v_0_is_refused(tmp_path: Path) -> None:
    report = values_report(0.8)
    for pair in report["agreement"]["value"]:
        del pair["given_base"]
    files.write_json(tmp_path / "old.json", report)
    with pytest.raises(ConfigError, match="no intervals of the agreement given V_0"):
        agreement.read(tmp_path / "old.json")


def test_a_board_that_names_an_analysis_it_does_not_hold_does_not_follow(study: tuple[Path, Store]) -> None:
    from harness.board_evidence import open_board

    directory, store = study
    data = files.read_json(directory / "data.json")
    files.write_json(directory / "data.json", {**data, "analyses": {"drift": "analysis/" + "9" * 16}})
    (problem,) = check.analyses(open_board(directory, store))
    assert problem.fatal
    assert problem.path == "analyses.drift"
    name = add(store, "1", "drift", {"x": data["rows"][1]["stage_keys"]["train"]})
    files.write_json(directory / "data.json", {**data, "analyses": {"drift": name}})
    assert check.analyses(open_board(directory, store)) == []
