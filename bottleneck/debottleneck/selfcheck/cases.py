"""Which loops a self-check runs: every cause, at three strengths, in two places."""

from __future__ import annotations

from dataclasses import dataclass

from debottleneck.words import CAUSES

TRAINER, LOADER = "trainer", "loader"
STRENGTHS = (0.15, 0.40, 0.75)

IN_TRAINER = tuple(c for c in CAUSES if c not in ("unattributed", "device"))
"""An accelerator is checked by `tests/gpu/check.py`, where there is one."""

IN_LOADER = ("python", "native", "network", "disk", "sleep", "lock", "gc", "memory")
MIXTURES = (
    ("python", "network", "sleep"),
    ("native", "lock", "ipc"),
    ("python", "native", "disk"),
)

ROW_S = 1.15
"""Seconds of training behind a row; some 55 steps, some 200 samples."""

MIXTURE_S = 5.0
"""A mixture is told apart by samples alone, so it gets more of them."""

HEALTHY_S = 2.0


@dataclass(frozen=True)
class Case:
    """One run of the dialled loop.

    Attributes:
        causes: What is planted, in turn; empty for the healthy loop.
        share: The part of the step that all of them together are dialled to.
        place: `TRAINER` or `LOADER`.
        seconds: How long it trains.
    """

    causes: tuple[str, ...]
    share: float
    place: str = TRAINER
    seconds: float = ROW_S

    @property
    def arguments(self) -> tuple[str, ...]:
        """The dialled loop's options."""
        amounts = ("--seconds", str(self.seconds), "--share", str(self.share))
        return (*amounts, "--place", self.place, "--cause", *(self.causes or ("none",)))


def cases(*, quick: bool = False) -> tuple[Case, ...]:
    """All runs of a self-check, or a selection that takes a quarter of the time."""
    strengths = STRENGTHS[1:2] if quick else STRENGTHS
    loaders = ("python", "network") if quick else IN_LOADER
    mixtures = MIXTURES[:1] if quick else MIXTURES
    return (
        *(Case((cause,), share) for cause in IN_TRAINER for share in strengths),
        *(Case((cause,), share, LOADER) for cause in loaders for share in strengths),
        *(Case(mixture, 0.75, TRAINER, MIXTURE_S) for mixture in mixtures),
        Case((), 0.0, TRAINER, HEALTHY_S),
    )
