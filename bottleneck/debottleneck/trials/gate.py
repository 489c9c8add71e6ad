"""The equality gate: does a strategy compute the numbers of the plain script?

Two plain runs are compared first. Only where they agree can a third one be judged, by
what its variables hold after the same steps and by the files that it wrote. What
differs between the plain runs, a clock or what another thread makes, does not count.
What holds in a step what it holds later in the plain script is ahead of it while the
loop runs; at the script's own end it must be what it is there in the plain one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from debottleneck.agent.variables import GENERATOR, OURS, UNREAD, Leaf
from debottleneck.trials import written
from debottleneck.trials.result import Judgement
from debottleneck.trials.state import (
    TOLERANCE,
    History,
    States,
    ThreadState,
    number,
    pattern,
    readable,
    unlike,
)

FEWEST = 4
"""Steps that must be common to the runs before they are called the same."""

DIFFERS = "your script differs from itself"
SEEDS = "set its seeds"

OURS_LEAF, UNREAD_LEAF = [OURS], [UNREAD]

RESULT = "()"
"""In the path of what functions returned."""

FEW = 3
"""What the plain script sets less often, and a strategy never does, is what loads of
another process keep there: a file that they opened."""

AHEAD = 16
"""Steps in a row in which what is ahead may hold what the plain script never held: at
the end of an epoch, or when more is ahead than steps were looked at."""

SHIFTED = 0.5
"""A value of another thread's is found in so many steps of the other run, if in others
than in this one; what is drawn at random in none."""

_NO_ARRAYS = ("list", "str", "bytes")
_PRIVATE = re.compile(r"\._\w+$")


@dataclass(frozen=True)
class StateDifference:
    """Where two runs first differ: a step counted from 1, and how."""

    step: int
    what: str


def judge(
    first: States, second: States, candidate: States, *, engaged_ns: int = 0
) -> Judgement:
    """Compare a run under a strategy with two plain ones.

    Args:
        first: A plain run.
        second: Another one.
        candidate: The run with the strategy.
        engaged_ns: When the strategy began to act, monotonic; only steps after that
            tell anything of it.

    Returns:
        "unverified" when the plain runs differ or too little is common to all;
        "same", "equal" or "different" else.
    """
    runs = first, second, candidate
    names = [name for name in first.threads if name in second.threads]
    threads = [_Thread(runs, name, name == names[0]) for name in names]
    itself = _first([*_lost(first, second), *(of.unlike_itself() for of in threads)])
    if itself is not None:
        why = f"{DIFFERS}; {SEEDS}: in two plain runs, {itself.what}"
        return Judgement("unverified", why)
    looked = min(first.steps, candidate.steps), min(first.epochs, candidate.epochs)
    found = [difference for of in threads for difference in of.differences()]
    found += [*_lost(first, candidate), *_in_files(runs, looked[0])]
    worst = _first(found)
    if worst is not None:
        return Judgement("different", worst.what, *looked)
    if doubt := _doubt(threads, engaged_ns):
        return Judgement("unverified", doubt, *looked)
    plainly = all(of.plainly_same for of in threads)
    if plainly and all(of.same for of in threads):
        return Judgement("same", "", *looked)
    within = f"equal within {TOLERANCE:.0e} of a step".replace("e-0", "e-")
    likely = " (summation order)" if plainly else ", as two plain runs are"
    return Judgement("equal", within + likely, *looked)


def _first(found: Iterable[StateDifference | None]) -> StateDifference | None:
    steps = [difference for difference in found if difference is not None]
    return min(steps, key=lambda difference: difference.step, default=None)


def _lost(first: States, other: States) -> Iterator[StateDifference]:
    """A run that came to its own end before the other one got as far."""
    for name, state in first.threads.items():
        counts = state.steps, getattr(other.threads.get(name), "steps", 0)
        shorter = other if counts[0] > counts[1] else first
        if counts[0] != counts[1] and shorter.ended:
            step = min(counts) + 1
            how = "the script had ended by then in one of the two runs"
            yield StateDifference(step, f"step {step}: {how}")


def _in_files(
    runs: tuple[States, States, States], step: int
) -> Iterator[StateDifference]:
    first, second, candidate = runs
    ended = first.ended and candidate.ended
    files = first.files, second.files, candidate.files
    if clause := written.compare(*files, ended=ended):
        yield StateDifference(step, clause)


def _doubt(threads: list[_Thread], engaged_ns: int) -> str:
    """Why too little was compared, or ""."""
    if not threads:
        return (
            "no step was seen after which variables could be compared; name the line "
            "of the loop with --step"
        )
    count = min(of.told(0) for of in threads)
    if count < FEWEST:
        return f"only {count} steps could be compared; use more --steps"
    if min(of.told(engaged_ns) for of in threads) < FEWEST:
        return "the strategy began to act too late to be checked; use more --steps"
    return ""


class _Thread:
    """What counts of one thread in three runs.

    Args:
        runs: Two plain ones, and the one under a strategy.
        name: The thread's.
        ends: Whether what the modules hold at the script's end is looked at with it.

    Attributes:
        same: Whether all agrees in every bit, once `differences` was called.
        plainly_same: Whether what is the same in both plain runs is so in every bit.
    """

    def __init__(
        self, runs: tuple[States, States, States], name: str, ends: bool
    ) -> None:
        self._runs = runs
        states = [run.threads.get(name, ThreadState()) for run in runs]
        self._first, self._second, self._candidate = states
        self._complete = all(state.complete for state in states)
        self._ends = ends
        self.same = self.plainly_same = True
        self._steady: list[str] = []
        self._odd: dict[str, StateDifference] = {}
        self._ahead: dict[str, bool] = {}
        for path in self._paths():
            found, same = self._along(path, self._first, self._second)
            if found is not None:
                self._odd[path] = found
            elif self._begins_alike(path) and self._at_end(path, runs[1])[0] is None:
                self._steady.append(path)
                self.plainly_same = self.plainly_same and same

    def _paths(self) -> list[str]:
        """The script's own."""
        held = self._candidate.histories.items()
        ours = {path for path, history in held if OURS_LEAF in history.leaves}
        end = self._runs[0].end if self._ends else {}
        return [
            path for path in {**self._first.histories, **end} if not _below(path, ours)
        ]

    def _begins_alike(self, path: str) -> bool:
        """What differs before the first step, a date for one, is no strategy's."""
        begun = _in(self._first, path).at(0)
        return begun in (None, _in(self._candidate, path).at(0))

    def unlike_itself(self) -> StateDifference | None:
        """Where the plain runs differ, if by more than what clocks and threads do.

        That is an array, or most of the numbers.
        """
        drawn = [self._odd[path] for path in self._odd if self._is_drawn(path)]
        moving = [path for path in self._odd if self._moves(path)]
        steady = [path for path in self._steady if self._moves(path)]
        if len({*map(pattern, moving)}) > len({*map(pattern, steady)}):
            drawn += [self._odd[path] for path in moving]
        return _first(drawn)

    def _is_drawn(self, path: str) -> bool:
        """Whether it is an array that the other run holds in no step."""
        leaves, others = _in(self._first, path).leaves, _in(self._second, path).leaves
        arrays = [leaf for leaf in others if _is_array(leaf)]
        known = sum(leaf in leaves for leaf in arrays)
        return known < SHIFTED * len(arrays)

    def _moves(self, path: str) -> bool:
        """Whether steps change numbers there that come of more than counting."""
        history = _in(self._first, path)
        found = zip(history.steps, history.leaves, strict=True)
        numbers = (step for step, leaf in found if _is_number(leaf))
        return GENERATOR not in path and any(numbers)

    def told(self, engaged_ns: int) -> int:
        """Steps since that moment after which compared numbers had changed."""
        looked = self._candidate.looked
        changed = {
            step
            for path in self._steady
            if path in self._candidate.histories and self._moves(path)
            for step in _in(self._first, path).steps
        }
        return sum(looked.get(step, 0) > engaged_ns for step in changed - {0})

    def differences(self) -> Iterator[StateDifference]:
        """Where the run under a strategy first holds what the plain ones do not."""
        for path in self._steady:
            found, same = self._differ(path)
            self.same = self.same and same
            if found is not None:
                yield found

    def _differ(self, path: str) -> tuple[StateDifference | None, bool]:
        """The first difference in that path beyond the tolerance; all bits equal?"""
        plain, own = _in(self._first, path), self._candidate.histories.get(path)
        if own is None and 0 < len(plain.steps) < FEW and plain.at(0) is None:
            return None, True
        found, same = self._along(path, self._first, self._candidate)
        if found is not None and self._is_ahead(path):
            found, same = None, True
        if found is None:
            found, end = self._at_end(path, self._runs[2])
            same = same and end
        return found, same

    def _is_ahead(self, path: str) -> bool:
        """Whether it holds in a step what the plain script holds in a later one.

        Generators may be between two draws. Of a container's items the last ones may
        have no later step to tell: others of them do.
        """
        met = GENERATOR in path or self._meets_later(path)
        if met is None:
            alike = pattern(path)
            if alike not in self._ahead:
                others = [one for one in self._steady if pattern(one) == alike]
                self._ahead[alike] = any(self._meets_later(one) for one in others)
            met = self._ahead[alike]
        return met

    def _meets_later(self, path: str) -> bool | None:
        """The same by itself, as far as every step was looked at; None if unknown."""
        plain, own = _in(self._first, path), _in(self._candidate, path)
        met, lost = None, 0
        for step in (s for n, s in enumerate(self._first.looked) if s == n):
            leaf = own.at(step)
            if leaf == plain.at(step):
                lost = 0
                continue
            later = plain.leaves[int(np.searchsorted(plain.steps, step)) :]
            if leaf not in later:
                lost += 1
            elif lost and not met:
                return False  # by chance: what is ahead is so from the first
            else:
                met, lost = True, 0
            if lost > AHEAD:
                return False
        return met

    def _along(
        self, path: str, one: ThreadState, other: ThreadState
    ) -> tuple[StateDifference | None, bool]:
        here, there = _in(one, path), _in(other, path)
        is_large = path in one.large
        looked = [*(one.looked_large if is_large else one.looked)]
        both = {*(other.looked_large if is_large else other.looked)}.intersection(
            looked
        )
        same = True
        for step in sorted({*here.steps, *there.steps} & both):
            leaf, its = here.at(step), there.at(step)
            if leaf is None or leaf == its or not self._tell(path, leaf, its):
                continue
            if how := unlike(leaf, its, step):
                when = _since(step, looked)
                return StateDifference(step, f"{readable(path)} {when}: {how}"), False
            same = False
        return None, same

    def _tell(self, path: str, here: Leaf, there: Leaf | None) -> bool:
        """Whether both were read, or one is surely not there.

        A private attribute that is not there has not been computed yet: `Path._str`. A
        function's result that is not there was made on another thread.
        """
        if UNREAD_LEAF in (here, there):
            return False
        late = _PRIVATE.search(path) or RESULT in path or not self._complete
        return there is not None or not late

    def _at_end(self, path: str, other: States) -> tuple[StateDifference | None, bool]:
        """At the scripts' own end; where one was stopped there is none."""
        first = self._runs[0]
        if not (self._ends and first.ended and other.ended) or path not in first.end:
            return None, True
        leaves = first.end[path], other.end.get(path)
        if leaves[0] == leaves[1] or not self._tell(path, *leaves):
            return None, True
        how = unlike(*leaves, first.steps)
        what = f"{readable(path)} differs at the script's end: {how}"
        return (StateDifference(first.steps, what) if how else None), False


_NEVER = History()


def _in(state: ThreadState, path: str) -> History:
    return state.histories.get(path, _NEVER)


def _is_array(leaf: Leaf | None) -> bool:
    """Whether it is an array or a tensor of floats."""
    is_whole = leaf is not None and len(leaf) > 1 and bool(leaf[3])
    return is_whole and str(leaf[0]).split()[0] not in _NO_ARRAYS  # type: ignore[index]


def _is_number(leaf: Leaf | None) -> bool:
    return leaf is not None and (len(leaf) > 1 or number(leaf) is not None)


def _below(path: str, roots: set[str]) -> bool:
    """Whether a path is one of those, or leads on from it."""
    if path in roots:
        return True
    ends = (number for number, sign in enumerate(path) if sign in ".[")
    inner = path.removeprefix("len(").removesuffix(")")
    return inner in roots or any(path[:end] in roots for end in ends)


def _since(step: int, looked: Iterable[int]) -> str:
    before = [other for other in looked if other < step]
    if step == 1 or (before and before[-1] == step - 1):
        return f"differs from step {step} on"
    seen = f" (not yet after step {before[-1]})" if before else ""
    return f"differs after step {step}{seen}" if step else "differs before step 1"
