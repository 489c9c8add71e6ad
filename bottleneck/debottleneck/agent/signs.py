"""What tells of training, the best sign first, and in which loops it was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from debottleneck.agent.turns import LoopPoint
from debottleneck.words import STEP

Chain = tuple[LoopPoint, ...]
"""Loops around something that happened, outermost first."""

OPTIMIZER, BACKWARD, NAMED, CHANGE, UPDATE_NAME, NAME, LOAD = range(7)
WHY = {
    OPTIMIZER: "an optimizer's step",
    BACKWARD: "a backward pass",
    NAMED: "the stages that you named",
    CHANGE: "arrays that its iterations read and change",
    UPDATE_NAME: "a call whose name says that it trains",
    NAME: "calls whose names say that they compute",
    LOAD: "calls whose names say that they load",
}
"""Kinds of evidence, the best first -> what the loop holds."""

TRAINING = (OPTIMIZER, BACKWARD, NAMED, CHANGE, UPDATE_NAME)
"""Evidence that a statement trains."""

BY_TIME = "nothing that is known to train, but it takes the run's time and repeats"
ASKED = "the line that you gave"
ELSEWHERE = "the steps that a framework begins"

RARE = 0.05
"""Changes at a place that happen less often than this part of the most frequent ones
(an average kept once an epoch) do not make the step larger."""

COMPUTES = ("forward", "loss", "backward", "update")
"""Stages of a library that tell of training; it may call back for others."""


def common(chains: Counter[Chain]) -> Chain:
    """The innermost loop around everything that happened, and those around it.

    Where a script trains in several loops one after the other, the longest.
    """
    most = max(chains.values())
    often = [chain for chain, times in chains.items() if times >= RARE * most]
    parts = {chain[0]: [c for c in often if c[0] is chain[0]] for chain in often}
    shared = [_shared(part) for part in parts.values()]
    return max(shared, key=lambda chain: chain[-1].ns)


def _shared(chains: Sequence[Chain]) -> Chain:
    """The loops that all of them begin with."""
    count = 0
    while all(len(c) > count and c[count] is chains[0][count] for c in chains):
        count += 1
    return chains[0][:count]


def kind_of(stage: str, name: str, kind: str) -> int | None:
    """What a stage that is entered tells of the loops around it."""
    if stage == "load":
        return LOAD
    if kind in ("framework", "jitted") and stage not in COMPUTES:
        return None
    if kind in ("torch", "framework", "jitted"):
        if stage == "update":
            return None if name.endswith("zero_grad") else OPTIMIZER
        return BACKWARD if stage == "backward" else NAME
    trains = stage in ("backward", "update", STEP)
    if kind in ("api", "option"):
        return NAMED if trains else NAME
    if trains:
        return UPDATE_NAME
    return NAME if stage in ("forward", "loss") else None
