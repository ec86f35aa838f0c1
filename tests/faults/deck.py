"""Which trials a seed stands for: so many kills, dealt evenly over the victims, and every other fault once."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.faults import kills
from tests.faults.damage import CorruptArtefact, TornLine
from tests.faults.scene import Fault
from tests.faults.stores import ClockJump, FullDisk, NoLocks, ReadOnlyStore, TwoDrivers


@dataclass(frozen=True)
class Card:
    """One trial: a fault and the seed of its random choices."""

    fault: Fault
    seed: str


def others() -> list[Fault]:
    """Every fault but kills."""
    return [
        *kills.TERMS,
        FullDisk(),
        ReadOnlyStore(),
        TornLine(),
        CorruptArtefact(),
        ClockJump(),
        TwoDrivers(),
        TwoDrivers(killed=True),
        NoLocks("refused"),
        NoLocks("ignored"),
    ]


def deal(seed: int, trials: int) -> list[Card]:
    """``trials`` kills and the others, in random order."""
    faults: list[Fault] = [kills.KINDS[number % len(kills.KINDS)] for number in range(trials)]
    faults += others()
    random.Random(seed).shuffle(faults)
    return [Card(fault, f"{seed}-{number}") for number, fault in enumerate(faults)]
