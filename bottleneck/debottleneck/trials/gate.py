"""The equality gate: does a strategy compute the numbers of the plain script?

Two plain runs are compared first. Only where they agree can a third one be judged.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from debottleneck.trials import written
from debottleneck.trials.gate_outputs import Floats, Output, Outputs, steps_of
from debottleneck.trials.result import Judgement
from debottleneck.trials.state import States, compare

TOLERANCE = 1e-6
"""Summing in another order moves float64 by some 1e-16 a sum and float32 by 1e-7."""

FEWEST = 8
"""Outputs that must be common to the runs before they are called the same."""

DIFFERS = "your script differs from itself"
SEEDS = "set its seeds"


@dataclass(frozen=True)
class _Pair:
    """The same call in two runs; `step` counts from 1."""

    step: int
    first: Output
    second: Output

    @property
    def same(self) -> bool:
        """Whether they agree in every bit."""
        one, other = self.first, self.second
        return (one.rest, one.bits) == (other.rest, other.bits)


@dataclass(frozen=True)
class _Difference:
    """Where two runs first differ by more than the tolerance, and how."""

    step: int
    clause: str


@dataclass(frozen=True)
class _Compared:
    """Two runs side by side.

    Attributes:
        times: When the second gave outputs with something in them that both have.
        same: Whether all agree in every bit.
        difference: The first that is beyond the tolerance.
    """

    times: tuple[int, ...]
    same: bool
    difference: _Difference | None

    @property
    def common(self) -> int:
        """How many outputs could be compared."""
        return len(self.times)


def judge(
    first: Outputs, second: Outputs, candidate: Outputs, *, engaged_ns: int = 0
) -> Judgement:
    """Compare a run under a strategy with two plain ones.

    Args:
        first: A plain run.
        second: Another one.
        candidate: The run with the strategy.
        engaged_ns: When the strategy began to act, monotonic; only outputs after that
            tell anything of it.

    Returns:
        "unverified" when the plain runs differ or too little is common to all;
        "same", "equal" or "different" else.
    """
    ordered = _same_order(first, second)
    plain = _compare(first, second, ordered)
    if plain.difference is not None:
        itself = f"{DIFFERS}; {SEEDS}: in two plain runs, "
        return Judgement("unverified", f"{itself}{plain.difference.clause}")
    tried = _compare(first, candidate, ordered)
    state, same_state = _compare_state(first, second, candidate)
    looked = _looked_at(first, candidate)
    files = _compare_files(first, second, candidate, looked[0])
    differences = filter(None, (tried.difference, state, files))
    found = min(differences, key=_step_of, default=None)
    if found is not None:
        return Judgement("different", found.clause, *looked)
    told = _told_by_state(first, candidate, engaged_ns)
    doubt = _doubt(min(plain.common, tried.common), tried, engaged_ns, told)
    if doubt:
        return Judgement("unverified", doubt, *looked)
    if plain.same and tried.same and same_state:
        return Judgement("same", "", *looked)
    within = f"equal within {TOLERANCE:.0e}".replace("e-0", "e-")
    likely = " (summation order)" if plain.same else ", as two plain runs are"
    return Judgement("equal", within + likely, *looked)


def _step_of(difference: _Difference) -> int:
    return difference.step


def _compare_state(
    first: Outputs, second: Outputs, candidate: Outputs
) -> tuple[_Difference | None, bool]:
    """What variables held; nothing differs where that was not written down."""
    states = first.state, second.state, candidate.state
    if states[0] is None or states[1] is None or states[2] is None:
        return None, True
    found, same = compare(states[0], states[1], states[2], TOLERANCE)
    return _Difference(found.step, found.what) if found else None, same


def _compare_files(
    first: Outputs, second: Outputs, candidate: Outputs, step: int
) -> _Difference | None:
    ended = first.ended and candidate.ended
    files = first.files, second.files, candidate.files
    clause = written.compare(*files, ended=ended)
    return _Difference(step, clause) if clause else None


def _looked_at(first: Outputs, candidate: Outputs) -> tuple[int, int]:
    """Steps and epochs that both runs went through."""
    counts = [_reached(run) for run in (first, candidate)]
    states: list[States | None] = [first.state, candidate.state]
    if counts[1] >= counts[0]:  # epochs end with loads, which may run elsewhere
        states[1] = states[0]
    return min(counts), min(state.epochs if state else 0 for state in states)


def _told_by_state(first: Outputs, candidate: Outputs, engaged_ns: int) -> int:
    """Steps after the strategy began whose variables were compared, and had changed.

    Functions that a strategy runs line by line return nothing that could be compared.
    """
    one, other = first.state, candidate.state
    if one is None or other is None:
        return 0
    begun = (e.step for e in candidate.trained if e.t_ns <= engaged_ns)
    last = max(begun, default=0)
    trained = (h for path, h in one.histories.items() if path not in one.by_loads)
    changed = {step for history in trained for step in history.steps if step > last}
    return len(changed & {*other.looked, *other.looked_large})


def _doubt(common: int, tried: _Compared, engaged_ns: int, told: int) -> str:
    """Why too little was compared, or ""."""
    if common + told == 0:
        return "no stage returned anything to compare; mark one that does with --stage"
    if common + told < FEWEST:
        return f"only {common} outputs could be compared; use more --steps"
    after = sum(t_ns > engaged_ns for t_ns in tried.times) + told
    if engaged_ns and after < FEWEST:
        return "the strategy began to act too late to be checked; use more --steps"
    return ""


def _same_order(first: Outputs, second: Outputs) -> bool:
    """Whether the stages take turns in the same way in both, as far as both go."""
    pairs = zip(first.trained, second.trained, strict=False)
    return all((a.stage, a.name) == (b.stage, b.name) for a, b in pairs)


def _compare(first: Outputs, second: Outputs, ordered: bool) -> _Compared:
    times: list[int] = []
    same = True
    for pair in _pairs(first, second, ordered):
        times += [pair.second.t_ns] if pair.first.leaves else []
        if pair.same:
            continue
        same = False
        how = _how_different(pair)
        if how:
            clause = f"{_place(pair)}: {how}"
            return _Compared((*times,), same, _Difference(pair.step, clause))
    return _Compared((*times,), same, _missing(first, second) if ordered else None)


def _pairs(first: Outputs, second: Outputs, ordered: bool) -> Iterator[_Pair]:
    """Each call of the first run with its like in the second.

    Where the stages take turns by the clock (a log line each second), each function's
    calls are compared in their own order. Where the training loop is known each step is
    compared by itself, without what a strategy had made elsewhere.
    """
    others = second.trained
    steps = steps_of(first.trained)
    if _by_loop(first, second):
        yield from _pairs_by_step(first, second)
        return
    if ordered:
        for step, one, other in zip(steps, first.trained, others, strict=False):
            yield _Pair(step, one, other)
        return
    waiting: defaultdict[tuple[str, str], deque[Output]] = defaultdict(deque)
    for event in others:
        waiting[event.stage, event.name].append(event)
    for step, one in zip(steps, first.trained, strict=True):
        queue = waiting[one.stage, one.name]
        if queue:
            yield _Pair(step, one, queue.popleft())


def _by_loop(*runs: Outputs) -> bool:
    return all(event.step >= 0 for run in runs for event in run.trained)


def _pairs_by_step(first: Outputs, second: Outputs) -> Iterator[_Pair]:
    """Of each function the calls of a step in which both have as many."""

    def by_call(run: Outputs) -> dict[tuple[int, str, str], list[Output]]:
        calls: defaultdict[tuple[int, str, str], list[Output]] = defaultdict(list)
        for event in run.trained:
            calls[event.step, event.stage, event.name].append(event)
        return calls

    others = by_call(second)
    for call, events in by_call(first).items():
        like = others.get(call, [])
        if len(like) == len(events):
            for one, other in zip(events, like, strict=True):
                yield _Pair(call[0], one, other)


def _missing(first: Outputs, second: Outputs) -> _Difference | None:
    """A run that came to its own end before the other one got as far."""
    counts = len(first.trained), len(second.trained)
    if _by_loop(first, second):
        counts = _reached(first), _reached(second)
    longer, shorter = (first, second) if counts[0] > counts[1] else (second, first)
    if not shorter.ended or counts[0] == counts[1]:
        return None
    step = min(counts) + 1
    if not _by_loop(first, second):
        step = steps_of(longer.trained)[min(counts)]
    how = "the script had ended by then in one of the two runs"
    return _Difference(step, f"step {step}: {how}")


def _reached(run: Outputs) -> int:
    """The step it came to; functions run line by line return nothing that tells."""
    if run.state is not None:
        return run.state.steps
    return max(steps_of(run.trained), default=0)


def _place(pair: _Pair) -> str:
    """Which call it was: the loss of step 4, or load_batch (load) of step 1."""
    one = pair.first
    called = one.name if one.name == one.stage else f"{one.name} ({one.stage})"
    what = "the loss" if one.stage == "loss" else called
    return f"{what} of step {pair.step}" if pair.step else f"{what} before step 1"


def _how_different(pair: _Pair) -> str:
    """The difference in words, "" when it is within the tolerance."""
    one, other = pair.first, pair.second
    if one.stage != other.stage:
        return f"in its place {other.name} ({other.stage}) was called"
    if one.rest != other.rest or len(one.sketches) != len(other.sketches):
        return "other integers, texts or shapes"
    apart = distance(one, other)
    if apart <= TOLERANCE:
        return ""
    numbers = one.number, other.number
    if numbers[0] is not None and numbers[1] is not None:
        return "{} against {}".format(*_told_apart(numbers[0], numbers[1]))
    return f"its values differ by {_share(apart)}"


def distance(one: Output, other: Output) -> float:
    """The largest relative difference of their float arrays.

    Of each array the norm of the difference over the norm, and the largest difference
    over the largest value; equal infinities and NaNs do not differ.
    """
    pairs = zip(one.sketches, other.sketches, one.norms, other.norms, strict=True)
    return max((_apart(*arrays) for arrays in pairs), default=0.0)


def _apart(one: Floats, other: Floats, norm: float, other_norm: float) -> float:
    if len(one) != len(other):
        return math.inf
    equal = (one == other) | (np.isnan(one) & np.isnan(other))
    if bool(equal.all()):
        return 0.0
    with np.errstate(all="ignore"):
        gap = np.where(equal, 0.0, one - other)
        largest = max(_largest(one), _largest(other))
        by_norm = np.linalg.norm(gap) / np.maximum(norm, other_norm)
        by_value = np.abs(gap).max() / np.float64(largest)
    worst = float(np.maximum(by_norm, by_value))
    return math.inf if math.isnan(worst) else worst


def _largest(values: Floats) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if len(finite) else 0.0


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Both with as few digits as show that they differ, four at least."""
    for digits in range(4, 17):
        texts = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return repr(one), repr(other)


def _share(apart: float) -> str:
    """A relative difference as people read it."""
    if not math.isfinite(apart):
        return "more than can be said"
    return f"{apart * 100:.0f} %" if apart >= 0.01 else f"a relative {apart:.1e}"
