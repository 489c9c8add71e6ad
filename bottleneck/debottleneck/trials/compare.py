"""One comparison from the profile to the folder: plan, gate, rounds, the winner."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from debottleneck.agent.guard import Changes
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.collect.options import Options
from debottleneck.errors import BottleneckError, UsageError
from debottleneck.recording import masks, spool
from debottleneck.strategies.spec import Strategies, parse
from debottleneck.trials import (
    baseline,
    gate_runs,
    keep,
    save,
    shortlist,
    touched,
    verdict,
)
from debottleneck.trials.entrants import Entrant, best_of, mean_of
from debottleneck.trials.result import VERDICTS, Comparison, Interval, Trial
from debottleneck.trials.rounds import PLAIN, Course, Watch, play
from debottleneck.trials.state import Curve, loss_curves, loss_rows
from debottleneck.trials.trial import Measured, run_trial

LIMIT_TIMES, LIMIT_S = 10.0, 30.0
"""A trial is ended after ten times the plain script's time and half a minute: slower
than that nobody wants it, and a hung one would never end."""

GATE_TIMES = 5.0
"""A run of the equality gate is ended after so many times the plain one's time."""


@dataclass(frozen=True)
class CompareOptions:
    """What to compare, and for how long.

    Attributes:
        target: The script.
        strategies: Candidates; () to choose them from a profile.
        rounds: At most so many.
        steps: Of a trial; None to choose from the length of a step.
        budget_s: Seconds in all, None for as long as the rounds take.
        folder: Where it is saved; does not exist yet.
        seed: Of the order of trials.
        everything: Try also what is predicted hopeless; what is named is tried anyway.
    """

    target: Options
    strategies: tuple[Strategies, ...]
    rounds: int
    steps: int | None
    budget_s: float | None
    folder: Path
    seed: int = 0
    everything: bool = False

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: One is out of range.
        """
        if self.rounds < verdict.POLICY.min_rounds:
            raise UsageError(
                f"--rounds must be at least {verdict.POLICY.min_rounds}",
                "fewer cannot say how much rounds differ",
            )
        if self.steps is not None and self.steps < shortlist.FEWEST_STEPS:
            raise UsageError(f"--steps must be at least {shortlist.FEWEST_STEPS}")


def run(
    wanted: CompareOptions, watch: Watch, say: Callable[[str], None]
) -> tuple[Comparison, bool]:
    """Compare, save, and return what was found, and whether Ctrl-C ended it.

    Raises:
        BottleneckError: The script cannot be compared.
        KeyboardInterrupt: Ctrl-C before anything was measured.
    """
    begun, created = time.monotonic(), datetime.now(UTC)
    logs = _make_folders(wanted.folder)
    say(f"comparing in {wanted.folder}; profiling the script as it is")
    log = logs / "000-profile.log"
    place = wanted.folder / save.BASELINE
    analysis, changes = baseline.profile(wanted.target, "", place, log, say)
    baseline.check(analysis, wanted.target)
    wanted = replace(wanted, target=baseline.with_loop(wanted.target, analysis))
    work = _Work(wanted, analysis)
    work.touched.append(changes)
    say(touched.warning(changes))
    work.course.watch = watch
    if wanted.budget_s is not None:
        work.course.ends_s = begun + wanted.budget_s
    work.measure(say)
    comparison = replace(work.comparison(), created=created.isoformat("T", "seconds"))
    save.save(comparison, work.ran, wanted.folder, loss_rows(work.curves))
    return comparison, work.interrupted


def _make_folders(folder: Path) -> Path:
    logs = folder / save.LOGS
    try:
        for made in (folder, logs):
            spool.private_folder(made)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror})",
            "choose another place with --output",
        ) from error
    return logs


@dataclass
class _Work:
    """The comparison under way; whatever ends it, what was measured is in it."""

    wanted: CompareOptions
    analysis: Analysis
    ran: list[save.TimedRun] = field(default_factory=list)
    curves: dict[str, Mapping[str, Curve]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    deterministic: bool = True
    interrupted: bool = False
    plain: gate_runs.PlainRuns | None = None
    after: Path | None = None
    touched: list[Changes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.course = Course(self.run_one)
        named = self.wanted.strategies
        self.entrants = self._predicted(
            named or shortlist.supported(self.analysis),
            skip=not (named or self.wanted.everything),
        )
        step_ms = self.analysis.loop.step_ms
        self.steps = self.wanted.steps or shortlist.steps_of_trial(step_ms)
        step_s = step_ms / 1e3
        self.limit_s = LIMIT_TIMES * self.steps * step_s + LIMIT_S
        loop, budget_s = self.analysis.loop, self.wanted.budget_s
        self.extent = gate_runs.extent(self.steps, step_s, budget_s, loop.rule)
        self.gate_limit_s = LIMIT_TIMES * self.extent.most * step_s

    def _predicted(self, candidates: Sequence[Strategies], skip: bool) -> list[Entrant]:
        return shortlist.entrants(self.analysis, candidates, skip=skip)

    @property
    def rows(self) -> int:
        """Candidates whose speed is measured: the intervals hold for all of them."""
        return max(sum(bool(e.pairs or e.runs) for e in self.entrants), 1)

    def measure(self, say: Callable[[str], None]) -> None:
        """Gate, rounds, the combination, a recording of the winner; or until Ctrl-C."""
        try:
            promising = [entrant for entrant in self.entrants if entrant.runs]
            if promising:
                self._gate(promising, later=len(promising) + 1)
                self._play(promising)
                self._combine()
                self._record_best(say)
        except KeyboardInterrupt:
            self.interrupted = True
            self.notes.append("ended by Ctrl-C; this is what was measured until then")

    def run_one(self, spec: str, number: int) -> Measured:
        """Run a trial; its times and losses are kept for the tables."""
        gate = self.extent if number == save.GATE_ROUND else None
        log = self._log("gate" if gate else f"round-{number + 1}", spec)
        measured = run_trial(
            self.wanted.target,
            spec,
            steps=gate_runs.most_steps(gate) if gate else self.steps,
            gate=gate,
            limit_s=self.limit_s + (self.gate_limit_s if gate else 0.0),
            log=log,
        )
        self.touched.append(measured.changes)
        states = measured.states
        if states is not None and not self.curves:
            self.extent = gate_runs.as_far(self.extent, states)
            self.gate_limit_s = GATE_TIMES * measured.seconds
        if states is not None and spec not in self.curves:
            self.curves[spec] = loss_curves(states)
        kept = replace(measured, states=None)
        self.ran.append(save.TimedRun(spec, number, kept))
        return measured

    def _log(self, phase: str, spec: str) -> Path:
        name = re.sub(r"[^a-z0-9=+.-]+", "-", spec or "plain")
        number = len(self.ran) + 1
        return self.wanted.folder / save.LOGS / f"{number:03}-{phase}-{name[:80]}.log"

    def _gate(self, entrants: Sequence[Entrant], later: int) -> None:
        """Check their numbers; after that as many trials are expected in each round."""
        self.course.later = self.wanted.rounds * later
        if self.plain is None:
            self.plain = gate_runs.run_plain(self.course)
            self.deterministic = self.plain.deterministic
            self.notes += filter(None, [self.plain.why])
        gate_runs.check(entrants, self.plain, self.course)
        self.course.later = 0

    def _play(self, entrants: Sequence[Entrant]) -> None:
        how = {"rounds": self.wanted.rounds, "seed": self.wanted.seed}
        play(entrants, self.course, rows=self.rows, **how)

    def _combine(self) -> None:
        """Of several strategies that are faster, the best of each together.

        Its parts have won, so it is tried whatever is predicted.
        """
        rows = self._trials()
        names = dict.fromkeys(row.strategy for row in rows)
        winners = [best_of([row for row in rows if row.strategy == n]) for n in names]
        best = [row for row in winners if row is not None]
        if self.wanted.strategies or len(best) < 2 or self.course.over:
            return
        combination = parse("+".join(row.spec for row in best))
        (both,) = self._predicted((combination,), skip=False)
        alone = max(best, key=_speed)
        rival = next(e for e in self.entrants if e.spec == alone.spec)
        self.entrants.append(both)
        self._gate([both], later=3)
        if both.runs:
            rival.decided = False
            self._play([rival, both])

    def _record_best(self, say: Callable[[str], None]) -> None:
        """Profile the script with the winner, to be shown beside the plain one."""
        best = best_of(self._trials())
        if best is None or not self.course.allows(PLAIN):
            return
        self.course.watch(f"profiling {best.spec}", self.course.done, 1)
        place = self.wanted.folder / save.BEST
        log = self._log("profile", best.spec)
        try:
            _, changes = baseline.profile(
                self.wanted.target, best.spec, place, log, say
            )
            self.touched.append(changes)
        except BottleneckError as error:
            self.notes.append(f"{best.spec} could not be profiled: {error.what}")
        else:
            self.after = place

    def _trials(self) -> list[Trial]:
        peak = mean_of([run.memory_mb for run in self.course.plain])
        rows = [entrant.row(self.rows, peak) for entrant in self.entrants]
        return sorted(rows, key=rank)

    def comparison(self) -> Comparison:
        """What was found, whatever ended it."""
        trials = self._trials()
        best = best_of(trials)
        if best is not None:
            trials = [best, *(row for row in trials if row is not best)]
        plain = verdict.undisturbed(self.course.plain)
        drop, steps = verdict.plain_left_out(plain), verdict.plain_counted(plain)
        strategies = parse(best.spec) if best else ()
        target, facts = self.wanted.target, self.analysis.recording.facts
        kept, said = self._kept(best)
        return Comparison(
            command=masks.words(target.command),
            created="",
            baseline_ms=verdict.typical(steps) if steps else self._profiled_ms(),
            baseline_memory_mb=mean_of([run.memory_mb for run in plain]),
            baseline_cpu_ms=mean_of([run.cpu_ms(drop) for run in plain]),
            rounds=self.course.rounds,
            steps=self.steps,
            trials=tuple(trials),
            best=best.spec if best else "",
            keep=kept,
            run=keep.command(target, strategies) if best else "",
            deterministic=self.deterministic,
            notes=(*self._all_notes(), *said),
            environment=facts.environment,
            folder=self.wanted.folder,
            before=self.wanted.folder / save.BASELINE,
            after=self.after,
        )

    def _kept(self, best: Trial | None) -> tuple[tuple[str, ...], list[str]]:
        """Lines that make the winner permanent, and what is to be said of them."""
        for entrant in self.entrants:
            if best is not None and entrant.spec == best.spec:
                file = self.wanted.folder / save.PATCH
                lines, said = keep.patch(entrant.plans, file)
                own = [line for named in entrant.keep.values() for line in named]
                return (*own, *lines), said
        return (), []

    def _profiled_ms(self) -> Interval | None:
        """The plain step of the profile, when no round was run."""
        loop = self.analysis.loop
        bounds = (loop.step_ms, loop.step_low, loop.step_high)
        return Interval(*bounds) if all(map(math.isfinite, bounds)) else None

    def _disturbed(self) -> list[str]:
        """How many rounds other work told in, and what became of them."""
        count, rounds = self.course.disturbed, self.course.rounds
        if not count:
            return []
        used = (pair for entrant in self.entrants for pair in entrant.used)
        kept = any(pair.disturbed for pair in used)
        what = "count for want of others" if kept else "were repeated and do not count"
        least = THRESHOLDS.foreign_cores
        return [
            f"in {count} of {rounds} rounds other work took more than {least:g} cores; "
            f"they {what}"
        ]

    def _all_notes(self) -> list[str]:
        notes = list(dict.fromkeys(self.notes))
        notes += self._disturbed()
        if self.course.over:
            notes.append(
                "the budget ended it; a larger --budget has room for more rounds"
            )
        if self.course.failures:
            notes.append(f"a plain trial failed: {self.course.failures[-1]}")
        busy = self.analysis.verdict.note
        return [*notes, *([busy] if busy else []), *touched.sentences(self.touched)]


def rank(row: Trial) -> tuple[int, float]:
    """Where a row stands in the table: by verdict, then by speed."""
    promised = row.predicted.speedup if row.predicted else 0.0
    return VERDICTS.index(row.verdict), -(_speed(row) or promised)


def _speed(row: Trial) -> float:
    """As it was measured, 0 if it was not."""
    return row.speedup.value if row.speedup else 0.0
