"""One comparison from the profile to the folder: plan, gate, rounds, the winner."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from debottleneck.analysis.result import Analysis
from debottleneck.errors import BottleneckError, UsageError
from debottleneck.recording.environment import cpu_quota, usable_cores
from debottleneck.strategies.spec import Strategies, parse
from debottleneck.trials import (
    baseline,
    check,
    forecast,
    keep,
    losses,
    plan,
    save,
    verdict,
)
from debottleneck.trials.entrants import Entrant, best_of, mean_of
from debottleneck.trials.result import (
    DIFFERENT,
    FAILED,
    FASTER,
    NOT_APPLICABLE,
    SAME_SPEED,
    SKIPPED,
    SLOWER,
    UNFINISHED,
    UNVERIFIED,
    Comparison,
    Interval,
    Trial,
)
from debottleneck.trials.rounds import PLAIN, Course, Played, Rules, Watch, play
from debottleneck.trials.trial import Measured, Target, run_trial

LIMIT_TIMES, LIMIT_S = 10.0, 30.0
"""A trial is ended after ten times the plain script's time and half a minute: slower
than that nobody wants it, and a hung one would never end."""

ORDER = (
    FASTER,
    SAME_SPEED,
    SLOWER,
    UNVERIFIED,
    UNFINISHED,
    SKIPPED,
    DIFFERENT,
    NOT_APPLICABLE,
    FAILED,
)
"""Of the rows; within a verdict the fastest first, as measured, else as predicted."""


@dataclass(frozen=True)
class Wanted:
    """What to compare, and for how long.

    Attributes:
        target: The script.
        strategies: Candidates; () to choose them from a profile.
        rounds: At most so many.
        steps: Of a trial; None to choose from the length of a step.
        budget_s: Seconds in all, None for as long as the rounds take.
        folder: Where it is saved; does not exist yet.
        seed: Of the order of trials, of the intervals and of the predictions.
        everything: Try also what is predicted hopeless; what is named is tried anyway.
    """

    target: Target
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
        if self.steps is not None and self.steps < plan.FEWEST_STEPS:
            raise UsageError(f"--steps must be at least {plan.FEWEST_STEPS}")


def run(
    wanted: Wanted, watch: Watch, say: Callable[[str], None]
) -> tuple[Comparison, bool]:
    """Compare, save, and return what was found, and whether Ctrl-C ended it.

    Args:
        wanted: What to do.
        watch: Is told of each trial.
        say: Prints one line for the user.

    Raises:
        BottleneckError: The script cannot be compared.
        KeyboardInterrupt: Ctrl-C before anything was measured.
    """
    begun, created = time.monotonic(), datetime.now(UTC)
    logs = _make_folders(wanted.folder)
    say(f"comparing in {wanted.folder}; profiling the script as it is")
    log = logs / "000-profile.log"
    place = wanted.folder / save.BASELINE
    analysis = baseline.profile(wanted.target, "", place, log, say)
    baseline.check(analysis, wanted.target)
    ends = None if wanted.budget_s is None else begun + wanted.budget_s
    work = _Work(wanted, analysis, Course(watch, ends))
    work.measure(say)
    comparison = replace(work.comparison(), created=created.isoformat("T", "seconds"))
    save.save(comparison, work.ran, wanted.folder, losses.rows(work.curves))
    return comparison, work.interrupted


def _make_folders(folder: Path) -> Path:
    logs = folder / save.LOGS
    try:
        logs.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror})",
            "choose another place with --output",
        ) from error
    return logs


@dataclass
class _Work:
    """The comparison under way; whatever ends it, what was measured is in it."""

    wanted: Wanted
    analysis: Analysis
    course: Course
    entrants: list[Entrant] = field(default_factory=list)
    played: Played = field(default_factory=Played)
    ran: list[save.Ran] = field(default_factory=list)
    curves: dict[str, Mapping[str, losses.Curve]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    deterministic: bool = True
    interrupted: bool = False
    after: Path | None = None

    def __post_init__(self) -> None:
        named = self.wanted.strategies
        self.entrants = forecast.entrants(
            self.analysis,
            named or plan.candidates(self.analysis, _cores()),
            skip=not (named or self.wanted.everything),
            seed=self.wanted.seed,
        )
        step_ms = self.analysis.loop.step_ms
        self.steps = self.wanted.steps or plan.steps_of_trial(step_ms)
        plain_s = self.steps * step_ms / 1e3
        self.limit_s = LIMIT_TIMES * plain_s + LIMIT_S

    @property
    def rows(self) -> int:
        """Candidates whose speed is measured: the intervals hold for all of them."""
        return max(sum(bool(each.pairs or each.runs) for each in self.entrants), 1)

    def measure(self, say: Callable[[str], None]) -> None:
        """Gate, rounds, the combination, a recording of the winner; or until Ctrl-C."""
        try:
            promising = [each for each in self.entrants if each.runs]
            if promising:
                self.course.later = self.wanted.rounds * (len(promising) + 1)
                self._gate(promising)
                self.course.later = 0
                self._play(promising)
                self._combine()
                self._record_best(say)
        except KeyboardInterrupt:
            self.interrupted = True
            self.notes.append("ended by Ctrl-C; this is what was measured until then")

    def one(self, spec: str, number: int) -> Measured:
        """Run a trial; its times and losses are kept for the tables."""
        outputs = number == save.GATE_ROUND
        log = self._log("gate" if outputs else f"round-{number + 1}", spec)
        measured = run_trial(
            self.wanted.target,
            spec,
            steps=min(self.steps, check.STEPS) if outputs else self.steps,
            outputs=outputs,
            limit_s=self.limit_s,
            log=log,
        )
        if measured.outputs is not None and spec not in self.curves:
            self.curves[spec] = losses.curves_of(measured.outputs)
        self.ran.append(save.Ran(spec, number, replace(measured, outputs=None)))
        return measured

    def _log(self, phase: str, spec: str) -> Path:
        name = re.sub(r"[^a-z0-9=+.-]+", "-", spec or "plain")
        number = len(self.ran) + 1
        return self.wanted.folder / save.LOGS / f"{number:03}-{phase}-{name[:80]}.log"

    def _gate(self, entrants: Sequence[Entrant]) -> None:
        gate = check.Gate(self.one, self.course)
        plain = gate.plain_runs()
        self.deterministic = plain.deterministic
        if plain.why:
            self.notes.append(plain.why)
        gate.judge(entrants, plain)

    def _play(self, entrants: Sequence[Entrant]) -> None:
        rules = Rules(self.wanted.rounds, self.rows, self.wanted.seed)
        play(entrants, self.one, rules, self.course, self.played)

    def _combine(self) -> None:
        """Of several strategies that are faster, the best of each together."""
        best = self._best_of_each()
        if self.wanted.strategies or len(best) < 2 or self.course.over:
            return
        both = self._together(parse("+".join(row.spec for row in best)))
        alone = max(best, key=lambda row: row.speedup.value if row.speedup else 0.0)
        rival = next(each for each in self.entrants if each.spec == alone.spec)
        self.entrants.append(both)
        self.course.later = 3 * self.wanted.rounds
        self._gate([both])
        self.course.later = 0
        if both.runs:
            rival.decided = False
            self._play([rival, both])

    def _together(self, strategies: Strategies) -> Entrant:
        """A combination; its parts have won, so it is tried whatever is predicted."""
        seed = self.wanted.seed
        (both,) = forecast.entrants(self.analysis, (strategies,), skip=False, seed=seed)
        return both

    def _best_of_each(self) -> list[Trial]:
        rows = self._trials()
        names = dict.fromkeys(row.strategy for row in rows)
        found = [best_of([row for row in rows if row.strategy == n]) for n in names]
        return [row for row in found if row is not None]

    def _record_best(self, say: Callable[[str], None]) -> None:
        """Profile the script with the winner, to be shown beside the plain one."""
        best = best_of(self._trials())
        if best is None or not self.course.allows(PLAIN):
            return
        self.course.watch(f"profiling {best.spec}", self.course.done, 1)
        place = self.wanted.folder / save.BEST
        log = self._log("profile", best.spec)
        try:
            baseline.profile(self.wanted.target, best.spec, place, log, say)
        except BottleneckError as error:
            self.notes.append(f"{best.spec} could not be profiled: {error.what}")
        else:
            self.after = place

    def _trials(self) -> list[Trial]:
        peak = mean_of([run.memory_mb for run in self.played.plain])
        seed = self.wanted.seed
        rows = [each.row(self.rows, seed, peak) for each in self.entrants]
        return sorted(rows, key=rank)

    def comparison(self) -> Comparison:
        """What was found, whatever ended it."""
        trials = self._trials()
        best = best_of(trials)
        if best is not None:
            trials = [best, *(row for row in trials if row is not best)]
        plain = self.played.plain
        drop = max((verdict.warmup_of(run) for run in plain), default=0)
        drop = max(drop, verdict.POLICY.least_left_out)
        steps = [run.step_ns[min(drop, len(run.step_ns) // 2) :] for run in plain]
        strategies = parse(best.spec) if best else ()
        target, facts = self.wanted.target, self.analysis.recording.facts
        return Comparison(
            command=target.command,
            created="",
            baseline_ms=verdict.typical(steps) if steps else self._profiled_ms(),
            baseline_memory_mb=mean_of([run.memory_mb for run in plain]),
            baseline_cpu_ms=mean_of([run.cpu_ms(drop) for run in plain]),
            rounds=self.played.begun,
            steps=self.steps,
            trials=tuple(trials),
            best=best.spec if best else "",
            keep=self._keep(strategies),
            run=keep.command(target, strategies) if best else "",
            deterministic=self.deterministic,
            notes=tuple(self._all_notes()),
            environment=facts.environment,
            folder=self.wanted.folder,
            before=self.wanted.folder / save.BASELINE,
            after=self.after,
        )

    def _keep(self, strategies: Strategies) -> tuple[str, ...]:
        own = [each.keep for each in self.entrants if each.strategies == strategies]
        known = own[0] if own else {}
        sites = keep.called(self.analysis.recording)
        return keep.lines(strategies, sites, known)

    def _profiled_ms(self) -> Interval | None:
        """The plain step of the profile, when no round was run."""
        loop = self.analysis.loop
        bounds = (loop.step_ms, loop.step_low, loop.step_high)
        return Interval(*bounds) if all(map(math.isfinite, bounds)) else None

    def _all_notes(self) -> list[str]:
        found = list(dict.fromkeys(self.notes))
        if self.course.over:
            found.append("the budget ended it; a larger --budget narrows the intervals")
        if self.played.failures:
            found.append(f"a plain trial failed: {self.played.failures[-1]}")
        busy = baseline.is_busy(self.analysis)
        return [*found, busy] if busy else found


def rank(row: Trial) -> tuple[int, float]:
    """Where a row stands in the table: by verdict, then by speed."""
    promised = row.predicted.speedup if row.predicted else 0.0
    return ORDER.index(row.verdict), -(row.speedup.value if row.speedup else promised)


def _cores() -> int:
    quota = cpu_quota()
    return max(1, min(usable_cores(), round(quota) if quota else usable_cores()))
