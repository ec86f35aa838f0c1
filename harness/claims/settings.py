"""The ``claims`` block of a recipe: named before the run, so that no comparison is chosen after seeing the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.errors import did_you_mean
from harness.strict import Name, NotNegative, Strict


class Claims(Strict):
    """Which cells stand for which side of each claim. Cells are variants, a swept one by its opened name."""

    baseline: Name
    """Plain SFT."""
    low_learning_rate: Name | Annotated[list[Name], Field(min_length=1)]
    """Plain SFT with a smaller learning rate; of a list, the best on ``select_on`` is taken."""
    primary: Annotated[list[Name | Annotated[list[Name], Field(min_length=1)]], Field(min_length=1)]
    """f-SFT cells, each a test of its own; an inner list is one test, of its best cell on ``select_on``."""
    preference_stage: Name | None = None
    """The stage after which the claims are tested; needs no name where there is one alone."""
    metric: Literal["pass_rate", "mean_score", "win_rate"] = "pass_rate"
    smallest_effect: NotNegative = 0.0
    """Points of 0 to 100 below which a difference would not matter to you."""
    select_on: Name | None = None
    """The benchmark on which best-of-sweep cells are picked; never the primary one."""

    def stage_of(self, stages: Mapping[str, Any]) -> str:
        """The preference stage of the claims. Raises ValueError where the recipe leaves it open."""
        trained = [name for name, stage in stages.items() if stage is not None]
        if self.preference_stage is not None:
            _require("preference_stage", self.preference_stage, trained)
            return self.preference_stage
        if len(trained) != 1:
            raise ValueError(f"claims.preference_stage: name one of {', '.join(trained) or 'none'}")
        return trained[0]

    def candidates(self) -> dict[str, list[str]]:
        """Role → the cells it may be: ``low_learning_rate`` and one ``primary`` number after the other."""
        roles = {"low_learning_rate": self.low_learning_rate}
        roles |= {f"primary {number}": names for number, names in enumerate(self.primary, 1)}
        return {role: [names] if isinstance(names, str) else list(names) for role, names in roles.items()}

    def check(
        self, cells: Mapping[str, Any], stages: Mapping[str, Any], benchmarks: list[str], learning_rate: float
    ) -> None:
        """Raise ValueError unless every named cell exists and is what its side of the claim says.

        ``cells`` and ``stages`` are the recipe's, opened; ``benchmarks`` its names, the primary first;
        ``learning_rate`` that of a variant that sets none.
        """
        self.stage_of(stages)
        _require("baseline", self.baseline, cells)
        for role, names in self.candidates().items():
            for name in names:
                _require(role, name, cells)
        self._check_kinds(cells, learning_rate)
        self._check_selection(benchmarks)

    def _check_kinds(self, cells: Mapping[str, Any], learning_rate: float) -> None:
        if cells[self.baseline].objective != "sft":
            raise ValueError(f"claims.baseline: {self.baseline} is not plain SFT")
        roles = self.candidates()
        highest = cells[self.baseline].learning_rate or learning_rate
        for name in roles.pop("low_learning_rate"):
            if cells[name].objective != "sft" or not (cells[name].learning_rate or learning_rate) < highest:
                raise ValueError(
                    f"claims.low_learning_rate: {name} is not plain SFT below the baseline's learning rate {highest:g}"
                )
        for name in (name for names in roles.values() for name in names):
            if cells[name].objective != "f_sft":
                raise ValueError(f"claims.primary: {name} is not an f-SFT variant")

    def _check_selection(self, benchmarks: list[str]) -> None:
        chooses = any(len(names) > 1 for names in self.candidates().values())
        if not chooses and self.select_on is None:
            return
        if self.select_on is None:
            raise ValueError("claims.select_on: a list of cells needs a benchmark (of the dev split) to pick from it")
        _require("select_on", self.select_on, benchmarks)
        if self.select_on == benchmarks[0]:
            raise ValueError(
                f"claims.select_on: {self.select_on} is the primary benchmark; picking and reporting on the same "
                "prompts favours the pick"
            )


def _require(role: str, name: str, known: Any) -> None:
    if name not in known:
        raise ValueError(f'claims.{role}: there is no "{name}".{did_you_mean(name, known)}')
