from __future__ import annotations

from pathlib import Path

import pytest

from harness import recipe_file
from harness.errors import ConfigError

MINIMAL = """
name: mine
title: Mine
base: random:tiny-llama
data:
  sft: {source: "builtin:microtasks", split: train}
benchmark: {source: "builtin:microtasks", split: eval}
variants:
  sft: {objective: sft}
"""


def write(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_every_shipped_recipe_is_valid() -> None:
    assert {"quickstart", "smoke"} <= set(recipe_file.shipped())
    for name in recipe_file.shipped():
        assert recipe_file.load(name).name == name


def test_the_quickstart_is_the_matrix_of_five_objectives_with_and_without_dpo() -> None:
    recipe = recipe_file.load("quickstart")
    assert [*recipe.variants] == ["sft", "sft-low-lr", "pearson-chi2", "squared-hellinger", "jensen-shannon"]
    assert [*recipe.preference_stages] == ["none", "dpo"]


def test_an_unknown_recipe_suggests_the_closest() -> None:
    with pytest.raises(ConfigError, match=r'no recipe "quickstrat"\. Did you mean "quickstart"'):
        recipe_file.load("quickstrat")


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = MINIMAL.replace("title: Mine", "titel: Mine").replace(
        "objective: sft", "objective: sft, learning_rate: fast"
    )
    with pytest.raises(ConfigError) as caught:
        recipe_file.load(write(tmp_path, text))
    said = caught.value.message
    assert 'line 3: unknown key "titel". Did you mean "title"?' in said
    assert '"title" is missing' in said
    assert "line 9: variants.sft.learning_rate" in said
    assert "'fast'" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sft: {objective: sft, beta: 0.1}", "objective sft takes no beta"),
        ("sft: {objective: f_sft}", "objective f_sft needs a divergence"),
        ("sft: {objective: f_sft, divergence: pearson}", "divergence"),
        ("base: {objective: sft}", 'a variant cannot be called "base"'),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path: Path, change: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe_file.load(write(tmp_path, MINIMAL.replace("sft: {objective: sft}", change)))


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='"name" stands twice'):
        recipe_file.load(write(tmp_path, MINIMAL + "name: other\n"))


def test_a_preference_stage_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs data\.preference"):
        recipe_file.load(write(tmp_path, MINIMAL + "preference_stages: {none: , dpo: {}}\n"))


def test_settings_can_be_overridden_from_the_command_line(tmp_path: Path) -> None:
    recipe = recipe_file.load(
        write(tmp_path, MINIMAL), ("training.epochs=3", "seeds=[1,2]", "training.learning_rate=1e-5")
    )
    assert recipe.training.epochs == 3
    assert recipe.seeds == [1, 2]
    assert recipe.training.learning_rate == 1e-5


@pytest.mark.parametrize("bad", ["epochs", "=3", "title.x=1"])
def test_a_malformed_override_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        recipe_file.load(write(tmp_path, MINIMAL), (bad,))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "just words"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        recipe_file.load(write(tmp_path, text))
