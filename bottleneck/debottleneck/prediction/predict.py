"""Analysis -> what each strategy would gain, with an interval, and why no more.

The loop is simulated some times, each time with other steps drawn from the measured
ones and other prices within what is known of them, plain and with each strategy; the
speed-up is the ratio, so that what the model misses in both falls out. To its spread
comes how much repeated runs differ: the interval is of what will be measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from debottleneck.analysis.frames import quiet_steps
from debottleneck.analysis.result import WORTH, Analysis, Prediction, Predictions
from debottleneck.analysis.rules.measures import cores
from debottleneck.analysis.steps import chosen_loop
from debottleneck.prediction.apply import simulated
from debottleneck.prediction.candidates import families
from debottleneck.prediction.demand import Demand, Part, demand_of, fraction
from debottleneck.prediction.limits import beyond_mb, limit, misfit, no_core
from debottleneck.prediction.replay import Replayed, drawn, operations, replay
from debottleneck.prediction.sides import NO_LOOP, NO_PLAN, edited, why_not
from debottleneck.recording.machine import Machine
from debottleneck.strategies.rewriting.plan import ACTS
from debottleneck.strategies.spec import Strategies, parse, written

Z90 = 1.645
"""Standard deviations to either side that hold 90 % of a normal distribution."""

LEAST_APART, WORK_APART = 0.015, 0.06
"""How far a measured speed-up lies from another such, without any cause: steps that
wait repeat well; working ones are as fast as the machine happens to be, and shared
machines change by far more than that (FACTS: below 8 % is noise)."""

WOBBLE = 0.7
"""Of how much the recording's own half seconds differ: speed-ups are ratios, which
differ by the root of 2 more, and means over several rounds, which differ less."""

HASTY = ((60e3, 0.25), (500e3, 0.08))
"""Nanoseconds between two hand-overs of the GIL, and how far the simulation is off
then: what the kernel does in some microseconds depends on what it has just done. Two
threads of small torch operations gained 0.47 where 0.60 was simulated; two that decode
images were within some percent."""

SPAN_NS, FEWEST_SPANS, MOST_WOBBLE = 500_000_000, 4, 0.15
"""Half seconds of which a step's mean is taken; with fewer of them nothing is known;
a machine that wobbles more was disturbed, not unlike itself."""

TIMES = 6
"""Simulated runs of each strategy."""

GLANCES, UNKNOWN = 1, 0.05
"""Runs of each setting to choose one, and the spread that is assumed of them."""

STEPS = 64
"""Steps of a run, fewer where steps have many operations."""

OPERATIONS = 12_000
"""Of one run at most, but for the least steps: about a twentieth of a second."""

LEAST_STEPS = 8

AS_GOOD = 0.96
"""Of settings this close the one with the fewest threads is named."""

MOST_STREAMING = 0.25
"""Native code of a loop streams through memory for a quarter of its time at most; the
rest stays in its caches. Which it is cannot be seen from outside."""

SPREADS = {
    "wake_ns": 0.3,
    "wake_soon_ns": 0.3,
    "signal_ns": 0.2,
    "cold_ns": 0.4,
    "refill_most_ns": 0.4,
    "call_ns": 0.3,
    "message_ns": 0.3,
}
"""How well each price is known: standard deviation of its logarithm, as seen between
measurements of the same machine and between kinds of code."""

SHARE_ERROR = 0.1
"""Of a stage's Python share, likewise: it comes from samples."""

RELEASES_ERROR = 0.25


def predict(
    analysis: Analysis,
    strategies: Sequence[Strategies] = (),
    *,
    seed: int = 0,
) -> Predictions | None:
    """What strategies would make of a recorded loop.

    Args:
        analysis: Of the plain script.
        strategies: Which; () for each in the setting that suits the loop. Those that
            cannot be simulated have no row.
        seed: The same seed gives the same predictions.

    Returns:
        None when the recording shows no steps to replay.

    """
    demand = demand_of(analysis)
    if demand is None:
        return None
    model = _understood(analysis, demand, seed)
    model.doubt = misfit(model.replayed) or no_core(analysis)
    if strategies:
        able = [one for one in strategies if simulated(model.demand, one)]
        settings = [[model.predicted(one)] for one in able]
        chosen = [row for (row,) in settings]
    else:
        settings = [
            [model.predicted(one, GLANCES) for one in family]
            for family in families(model.demand, max(1, round(model.machine.cores)))
        ]
        chosen = [_best_of(model, family) for family in settings]
    return Predictions(
        plain=model.predicted(()),
        rows=tuple(sorted(chosen, key=_promise, reverse=True)),
        settings=tuple(map(_with_best, chosen, settings)),
        replayed=model.replayed,
        machine=model.machine.as_dict(),
        unplanned=_unplanned(analysis, demand),
        doubt=model.doubt,
    )


def _with_best(
    best: Prediction, family: Sequence[Prediction]
) -> tuple[Prediction, ...]:
    """All settings, the best one as often simulated as in its own row."""
    return tuple(best if row.spec == best.spec else row for row in family)


def _understood(analysis: Analysis, demand: Demand, seed: int) -> _Model:
    """The model, with producers or without: whichever is more the loop that was seen.

    A process of the script's that serves what it is asked for makes no batches.
    """
    known = machine_of(analysis), wobble_of(analysis), seed
    model = _Model(demand, *known)
    if demand.producers and misfit(model.replayed):
        alone = _Model(replace(demand, producers=()), *known)
        return min(model, alone, key=lambda one: abs(math.log(one.replayed)))
    return model


def _unplanned(analysis: Analysis, demand: Demand) -> str:
    """Why no strategy can be predicted; "" if one can."""
    if demand.plans:
        return ""
    return NO_PLAN if chosen_loop(analysis.recording) is not None else NO_LOOP


def machine_of(analysis: Analysis) -> Machine:
    """The machine as the recording knows it; ordinary prices where it does not."""
    try:
        priced = Machine.of(analysis.recording.facts.machine)
    except ValueError:  # damaged by hand: no reason to withhold the rest of a report
        priced = Machine()
    return replace(priced, cores=cores(analysis) or 1.0)


def wobble_of(analysis: Analysis) -> float:
    """How much the quiet half seconds of a recording differ, 0 if there are few.

    A robust standard deviation of the logarithm of their mean steps.
    """
    quiet = quiet_steps(analysis.steps)
    start = quiet["start_ns"].to_numpy(np.int64)
    if not len(start):
        return 0.0
    spans = (start - start[0]) // SPAN_NS
    means = quiet["wall_ns"].groupby(spans).mean()[quiet.groupby(spans).size() > 2]
    if len(means) < FEWEST_SPANS:
        return 0.0
    logs = np.log(means.to_numpy(np.float64))
    middle = np.median(np.abs(logs - np.median(logs)))
    return min(1.4826 * float(middle), MOST_WOBBLE)


def work_share(demand: Demand) -> float:
    """The part of the loop's time that it works rather than waits."""
    return fraction(demand.parts, (part.work for part in demand.parts))


@dataclass(frozen=True)
class _Try:
    """One draw: the steps, the prices, and how fast the recorded loop is with them."""

    demand: Demand
    machine: Machine
    picks: tuple[int, ...]
    plain_ns: float
    seed: int


class _Model:
    """A loop, and several draws of what is not known exactly.

    Args:
        demand: The recorded loop.
        machine: What it was recorded on.
        wobble: How much the recording's own half seconds differ.
        seed: Of the draws.
    """

    def __init__(
        self, demand: Demand, machine: Machine, wobble: float, seed: int
    ) -> None:
        self.demand, self.machine = demand, machine
        self._tries = [self._try(seed + i) for i in range(TIMES)]
        plain = [attempt.plain_ns for attempt in self._tries]
        work = work_share(demand)
        self._apart = math.hypot(LEAST_APART + WORK_APART * work, WOBBLE * wobble)
        self.replayed = float(np.mean(plain)) / demand.step_ns
        self.doubt = ""
        self._edited = replace(self.demand, plans=tuple(map(edited, demand.plans)))

    def _try(self, seed: int) -> _Try:
        rng = np.random.default_rng(seed)
        picks = tuple(drawn(self.demand, STEPS, rng))
        machine, demand = _priced(self.machine, rng), _perturbed(self.demand, rng)
        plain = replay(demand, machine, (), picks, seed)
        return _Try(demand, machine, picks, plain.step_ns, seed)

    def predicted(self, strategies: Strategies, times: int = TIMES) -> Prediction:
        """What these strategies make of it, from so many simulated runs."""
        reasons = (why_not(self.demand, s) for s in strategies)
        reason = next(filter(None, reasons), ACTS)
        loop = self._edited if reason.edit else self.demand
        acting = tuple(s for s in strategies if not why_not(loop, s))
        runs, ratios = [], []
        for attempt in self._tries[:times]:
            demand = replace(attempt.demand, plans=loop.plans)
            run = self._run(replace(attempt, demand=demand), acting)
            runs.append(run)
            ratios.append(math.log(attempt.plain_ns / run.step_ns))
        middle = float(np.mean(ratios))
        spread = float(np.std(ratios, ddof=1)) if times > 1 else UNKNOWN
        half = Z90 * math.hypot(spread, self._apart, _hasty(runs))
        gain, low, high = (math.exp(middle + d * half) for d in (0, -1, 1))
        step = self.demand.step_ns / 1e6
        return Prediction(
            spec=written(strategies),
            step_ms=step / gain,
            step_low=step / high,
            step_high=step / low,
            speedup=gain,
            low=low,
            high=high,
            limit=limit(runs, acting, gain, self.machine),
            memory_mb=beyond_mb(loop, acting),
            why_not=reason,
            edit=reason.edit,
            worth=bool(strategies) and not (reason or self.doubt or gain < WORTH),
        )

    def _run(self, attempt: _Try, strategies: Strategies) -> Replayed:
        cost = operations(attempt.demand, strategies, attempt.picks)
        steps = max(LEAST_STEPS, min(STEPS, int(OPERATIONS / max(cost, 1.0))))
        picks = attempt.picks[:steps]
        run = replay(attempt.demand, attempt.machine, strategies, picks, attempt.seed)
        if steps < STEPS:  # the plain loop's time is of all picks; these may be longer
            mean_ns = _length(self.demand, attempt.picks)
            scale = mean_ns / _length(self.demand, picks)
            run = replace(run, step_ns=run.step_ns * scale)
        return run


def _hasty(runs: Sequence[Replayed]) -> float:
    """What is not known of threads that hand the GIL over all the time."""
    between = float(np.mean([run.switch_ns for run in runs]))
    return next((error for below, error in HASTY if between < below), 0.0)


def _length(demand: Demand, picks: Sequence[int]) -> float:
    """Mean work in these steps."""
    total = sum(part.length for pick in picks for part in demand.steps[pick])
    return max(total / len(picks), 1.0)


def _priced(machine: Machine, rng: np.random.Generator) -> Machine:
    """The machine with prices drawn within what is known of them."""
    prices = {
        name: getattr(machine, name) * math.exp(spread * rng.standard_normal())
        for name, spread in SPREADS.items()
    }
    streaming = MOST_STREAMING * rng.random()
    native = (1 - streaming) * machine.slow_compute + streaming * machine.slow_memory
    return replace(machine, slow_native=native, **prices)


def _perturbed(demand: Demand, rng: np.random.Generator) -> Demand:
    """The loop with shares drawn within what is known of them."""
    shift, share = math.exp(SHARE_ERROR * rng.standard_normal()), rng.random()
    often = math.exp(RELEASES_ERROR * rng.standard_normal())

    def drawn_part(part: Part) -> Part:
        limited = min(part.python * shift, part.work)
        python = limited if demand.python_known else share * part.work
        native = part.work - python
        return replace(
            part, python=python, native=native, releases=part.releases * often
        )

    return replace(
        demand,
        steps=tuple(tuple(map(drawn_part, step)) for step in demand.steps),
        producers=tuple(
            replace(producer, work=drawn_part(producer.work))
            for producer in demand.producers
        ),
    )


def _promise(row: Prediction) -> tuple[bool, float]:
    """By what rows are sorted: those that act first, the fastest of them before others.

    Processes come after threads that are about as fast.
    """
    return not row.why_not, row.speedup * (
        AS_GOOD if "where=process" in row.spec else 1
    )


def _best_of(model: _Model, settings: Sequence[Prediction]) -> Prediction:
    """The fastest setting; of those about as fast the one that comes first."""
    most = max(row.speedup for row in settings)
    best = next(row for row in settings if row.speedup >= AS_GOOD * most)
    return model.predicted(parse(best.spec))
