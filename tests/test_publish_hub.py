"""Publishing to a hub on the loopback address: told first, sent only when asked, and no key in any output."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.board_evidence import Board, PublishedEvidence
from harness.errors import BridgebenchError, ConfigError
from harness.publishing import hub_upload, model_card
from harness.store import Store
from tests.loopback_hub import COMMIT, loopback_hub
from tests.test_smoke import ROOT

QUICKSTART = ROOT / "leaderboards" / "quickstart"
SECRET = "hf_not_a_real_key"
Received = list[tuple[str, str | None]]


@pytest.fixture
def received() -> Received:
    return []


@pytest.fixture
def hub(tmp_path: Path, received: Received) -> Iterator[str]:
    (tmp_path / "hub").mkdir()
    with loopback_hub(tmp_path / "hub", received) as endpoint:
        yield endpoint


def publish(endpoint: str, tmp_path: Path, *arguments: object, check: int = 0) -> str:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": SECRET}
    environment |= {"HF_HUB_DISABLE_XET": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-m", "harness", "--results", str(tmp_path / "results"), "publish", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == check, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_without_yes_it_is_told_what_would_be_uploaded_and_nothing_is_sent(
    hub: str, tmp_path: Path, received: Received
) -> None:
    said = publish(hub, tmp_path, QUICKSTART, "--to", "hub:datasets/lab/board")
    assert "evidence/" in said
    assert "nothing was uploaded; --yes uploads it" in said
    assert received == []


@pytest.mark.parametrize(("kind", "head"), [("datasets", "configs:"), ("spaces", "sdk: static")])
def test_a_board_arrives_whole_and_can_be_checked_there(
    hub: str, tmp_path: Path, received: Received, kind: str, head: str
) -> None:
    said = publish(hub, tmp_path, QUICKSTART, "--to", f"hub:{kind}/lab/board", "--yes")
    assert COMMIT in said
    arrived = tmp_path / "hub" / kind / "lab" / "board"
    sent = {path.relative_to(arrived) for path in arrived.rglob("*") if path.is_file()}
    here = {path.relative_to(QUICKSTART) for path in QUICKSTART.rglob("*") if path.is_file()}
    assert sent == here | {Path("README.md")}
    assert all((arrived / name).read_bytes() == (QUICKSTART / name).read_bytes() for name in here)
    assert head in (arrived / "README.md").read_text().partition("\n---\n")[0]
    assert {key for _, key in received} == {f"Bearer {SECRET}"}


def test_a_hub_that_refuses_is_one_paragraph(tmp_path: Path) -> None:
    said = publish("http://127.0.0.1:9", tmp_path, QUICKSTART, "--to", "hub:datasets/lab/board", "--yes", check=3)
    assert "hub:datasets/lab/board could not be written" in said


def test_a_place_that_is_none_is_refused() -> None:
    for text in ("hub:dataset/a/b", "hub:datasets/b", "hub:datasets/../b", "hub:datasets/a/b/c"):
        with pytest.raises(ConfigError, match="is no place on a hub"):
            hub_upload.parse(text)


@pytest.fixture
def board() -> Board:
    return Board(QUICKSTART, PublishedEvidence(QUICKSTART))


def test_a_model_card_carries_the_rows_figures_in_the_hubs_form(board: Board) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard(model_card.card(board, "sft+dpo"))
    row = board.rows["sft+dpo"]
    found = {result.metric_type: result for result in card.data.eval_results}
    assert found["pass_rate"].metric_value == round(row["pass_rate"], 4)
    assert found["win_rate"].metric_value == round(row["win_rate"], 4)
    assert f"n = {row['n']}" in found["pass_rate"].metric_name
    for needed in (*board.stage_keys("sft+dpo").values(), board.data["commits"][0][:12], "learning_rate: 0.0001"):
        assert needed in card.text
    assert f"[{row['pass_rate_low']:.1f}" not in card.text  # intervals have a column of their own
    assert f"{row['pass_rate_low']:.1f}–{row['pass_rate_high']:.1f}" in card.text


def test_a_checkpoint_is_published_with_its_card_and_without_the_probe(
    hub: str, tmp_path: Path, tiny_checkpoint: Path, board: Board
) -> None:
    store = Store(tmp_path / "results")
    with pytest.raises(BridgebenchError, match="is not in"):
        model_card.checkpoint_of(board, "base", store)
    kind, key = board.stage_keys("base")["model"].split("/")
    store.path(kind, key).mkdir(parents=True)
    (store.path(kind, key) / "checkpoint").symlink_to(tiny_checkpoint)
    publish(hub, tmp_path, QUICKSTART, "--row", "base", "--to", "hub:models/lab/base", "--yes")
    arrived = tmp_path / "hub" / "models" / "lab" / "base"
    assert (arrived / "model.safetensors").read_bytes() == (tiny_checkpoint / "model.safetensors").read_bytes()
    assert "model-index:" in (arrived / "README.md").read_text()
    assert not (arrived / "probe.json").exists()
    publish(hub, tmp_path, QUICKSTART, "--row", "base", "--to", tmp_path / "copy")
    assert not (tmp_path / "copy" / "model.safetensors").is_symlink()
    assert "takes one row" in publish(hub, tmp_path, QUICKSTART, "--to", "hub:models/lab/base", check=2)


def test_a_row_without_a_checkpoint_has_none_to_publish(tmp_path: Path, board: Board) -> None:
    board.rows["base"] = {**board.rows["base"], "stage_keys": {"generate": "generate/x"}}
    with pytest.raises(BridgebenchError, match="its answers came from elsewhere"):
        model_card.checkpoint_of(board, "base", Store(tmp_path))
