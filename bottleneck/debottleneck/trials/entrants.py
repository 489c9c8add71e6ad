"""One candidate through the comparison: what it did, why it left, its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from debottleneck.strategies.rewriting.notes import ENGAGED, KEEP, REFUSED, SUMMARY
from debottleneck.strategies.rewriting.notes import FAILED as NOTED_FAILURE
from debottleneck.strategies.spec import (
    PREFETCH_WORKERS,
    Setting,
    Strategies,
    burst_of,
    written,
)
from debottleneck.trials import verdict
from debottleneck.trials.keep import Plans, plans_in
from debottleneck.trials.result import (
    DIFFERENT,
    FAILED,
    FASTER,
    NOT_APPLICABLE,
    UNDECIDED,
    UNVERIFIED,
    Interval,
    Judgement,
    Predicted,
    Trial,
)
from debottleneck.trials.trial import Measured
from debottleneck.trials.verdict import Pair

NOTHING_DONE = "it found nothing in this script to act on"
CUT_OFF = "the comparison ended before it had run a whole round"


@dataclass
class Entrant:
    """A candidate, and what has been measured of it so far.

    Attributes:
        strategies: What it applies.
        judgement: What the equality gate says.
        left: The verdict with which it left the rounds for good, "" while it runs.
        why: A sentence with it.
        decided: True when more rounds would hardly change its verdict.
        pairs: It and the plain script, a pair a round.
        did: What its strategies said of themselves.
        keep: Lines of code that make it permanent, where they know them themselves.
        plans: By which it rewrote loops.
        predicted: What was said of it before anything was run, if anything was.
    """

    strategies: Strategies
    judgement: Judgement = field(default_factory=lambda: Judgement("unverified"))
    left: str = ""
    why: str = ""
    decided: bool = False
    pairs: list[Pair] = field(default_factory=list)
    did: tuple[str, ...] = ()
    keep: dict[str, tuple[str, ...]] = field(default_factory=dict)
    plans: Plans = ()
    predicted: Predicted | None = None

    @property
    def spec(self) -> str:
        """As it is written after `--strategy`."""
        return written(self.strategies)

    @property
    def name(self) -> str:
        """What its settings are settings of."""
        return name_of(self.strategies)

    @property
    def runs(self) -> bool:
        """Whether it takes part in the next round."""
        return not self.left and not self.decided

    def leave(self, verdict: str, reason: str) -> None:
        """It runs no more."""
        self.left, self.why = verdict, reason

    def admit(self, measured: Measured) -> bool:
        """Look at one of its runs; False, and it leaves, if it cannot be counted."""
        self.did = words_of(measured.notes, len(self.strategies) == 1) or self.did
        self.plans = plans_in(measured.notes) or self.plans
        for note in measured.notes:
            if note.get("state") == KEEP:
                self.keep[str(note["strategy"])] = tuple(map(str, note["lines"]))
        if measured.failure:
            self.leave(FAILED, measured.failure)
        else:
            self._check_applied(measured.notes)
        return not self.left

    def _check_applied(self, notes: tuple[Mapping[str, Any], ...]) -> None:
        for strategy in self.strategies:
            lines = [note for note in notes if note.get("strategy") == strategy.name]
            said = {str(line.get("state")): str(line.get("text")) for line in lines}
            if ENGAGED not in said:
                failed = NOTED_FAILURE in said
                reason = said.get(NOTED_FAILURE if failed else REFUSED, NOTHING_DONE)
                alone = len(self.strategies) == 1
                self.leave(
                    FAILED if failed else NOT_APPLICABLE,
                    reason if alone else f"{strategy.name}: {reason}",
                )
                return

    def judge(self, judgement: Judgement) -> None:
        """Take what the equality gate says; different numbers end it."""
        self.judgement = judgement
        if judgement.numbers == "different":
            gain = f"; predicted {self.predicted.text}" if self.predicted else ""
            self.leave(DIFFERENT, f"{judgement.why}{gain}")

    @property
    def used(self) -> list[Pair]:
        """The pairs that count."""
        return verdict.undisturbed(self.pairs)

    @property
    def shown(self) -> bool:
        """Whether enough rounds were left in peace, or none seem to be."""
        least = verdict.POLICY.min_rounds
        quiet = sum(not pair.disturbed for pair in self.pairs)
        return quiet >= least or len(self.pairs) >= 2 * least

    def speedup(self, rows: int) -> Interval | None:
        """Over the rounds so far, None before the first."""
        if not self.pairs:
            return None
        pairs, burst = self._counted(), burst_of(self.strategies)
        return verdict.speedup(pairs, rows=rows, burst=burst)

    def _counted(self) -> list[verdict.Counted]:
        return verdict.counted(self.used, self.strategies)

    def row(self, rows: int, plain_mb: float | None) -> Trial:
        """Its row of the table."""
        interval = self.speedup(rows)
        own = [pair.own for pair in self.used]
        steps = [counted for _, counted in self._counted()]
        peak = mean_of([run.memory_mb for run in own])
        extra = None if peak is None or plain_mb is None else peak - plain_mb
        drop = verdict.left_out(self.used, self.strategies)
        word = self.left or self._word(interval)
        return Trial(
            strategy=name_of(self.strategies),
            settings=settings_of(self.strategies),
            spec=self.spec,
            verdict=word,
            numbers=self.judgement.numbers,
            checked_steps=self.judgement.steps,
            checked_epochs=self.judgement.epochs,
            why=self._why(word, interval),
            rounds=len(own),
            step_ms=verdict.typical(steps).value if steps else None,
            speedup=interval,
            memory_mb=extra,
            cpu_ms=mean_of([run.cpu_ms(drop) for run in own]),
            predicted=self.predicted,
            did=self.did,
        )

    def _why(self, word: str, interval: Interval | None) -> str:
        if word != UNDECIDED:
            return self.why or self.judgement.why
        if interval is None:
            return CUT_OFF
        more = verdict.rounds_to_come(interval, len(self.used))
        return f"about {more:,} more {'round' if more == 1 else 'rounds'} would decide"

    def _word(self, interval: Interval | None) -> str:
        if interval is None:
            return UNDECIDED
        if self.judgement.numbers == "unverified":
            return UNVERIFIED
        return verdict.word(interval)


def name_of(strategies: Strategies) -> str:
    """Their names without settings."""
    return "+".join(strategy.name for strategy in strategies)


def settings_of(strategies: Strategies) -> dict[str, Setting]:
    """All settings of a row: of several strategies as "prefetch.workers"."""
    alone = len(strategies) == 1
    return {
        key if alone else f"{strategy.name}.{key}": value
        for strategy in strategies
        for key, value in strategy.settings.items()
    }


def words_of(notes: tuple[Mapping[str, Any], ...], alone: bool) -> tuple[str, ...]:
    """What the strategies did, in their words: the sum of it, else its beginning."""
    for states in ((SUMMARY, NOTED_FAILURE), (ENGAGED,)):
        lines = [note for note in notes if note.get("state") in states]
        if lines:
            return tuple(
                f"{'' if alone else note['strategy'] + ': '}{note['text']}"
                for note in lines
            )
    return ()


def mean_of(values: list[float | None]) -> float | None:
    """Mean of what is known, None if nothing is."""
    numbers = [value for value in values if value is not None]
    return fmean(numbers) if numbers else None


def best_of(rows: list[Trial]) -> Trial | None:
    """The fastest; of those about as fast, the one that asks for least."""
    faster = [
        (row.speedup.value, row)
        for row in rows
        if row.verdict == FASTER and row.speedup is not None
    ]
    if not faster:
        return None
    most = max(value for value, _ in faster)
    near = [pair for pair in faster if pair[0] >= verdict.POLICY.as_good * most]
    return min(near, key=lambda pair: (_cost(pair[1]), -pair[0]))[1]


def _cost(row: Trial) -> tuple[int, int, int]:
    """Strategies, a process more or not, threads and batches that it keeps."""
    values = row.settings.values()
    numbers = [value for value in values if isinstance(value, int)]
    if not any(key.endswith("workers") for key in row.settings):
        numbers.append(PREFETCH_WORKERS)
    apart = sum(value == "process" for value in values)
    return row.strategy.count("+"), apart, sum(numbers)
