"""What the update calls of a run change, and which of them get in each other's way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.strategies.automatic.evidence import Look, identity
from debottleneck.strategies.automatic.runs import StageCall
from debottleneck.strategies.conflicts import Groups, Reach, overlaps, reach
from debottleneck.strategies.randomness import Draws, streams
from debottleneck.strategies.spec import ONE_UPDATE


@dataclass(frozen=True)
class Deed:
    """One update: what is called, and on which parameter."""

    function: Callable[..., Any]
    subject: Any

    def is_by(self, call: StageCall) -> bool:
        """Whether that call is this update once more."""
        return call.found.function is self.function and call.subject() is self.subject


@dataclass(frozen=True)
class Traces:
    """What one call could reach, and what of it the call may write."""

    reach: Reach
    written: frozenset[object]


class Record:
    """Watches one run, all its calls made where they are.

    Args:
        expected: Calls of the run before, to look closely; 0 for a first glance.
    """

    def __init__(self, expected: int = 0) -> None:
        self.deeds: list[Deed] = []
        self.objection = ""
        self._expected = expected
        self._traces: list[Traces] = []
        self._latest = Look([])
        self._raised = False

    @as_frame_of_ours
    def made(self, call: StageCall, plainly: Callable[[StageCall], Any]) -> Any:
        """Make a call and watch it."""
        self.deeds.append(Deed(call.found.function, call.subject()))
        self._raised = True
        result = self._closely(call, plainly) if self._expected else plainly(call)
        self._raised = False
        if result is not None:
            kind = type(result).__name__
            self._object(
                f"update returns a value ({kind}), so each has to be waited for"
            )
        return result

    def groups(self) -> list[list[int]]:
        """Positions of calls that have to keep their order, in groups."""
        joined = Groups(len(self._traces))
        tagged = [
            ((index, identity(buffer) in traces.written), buffer)
            for index, traces in enumerate(self._traces)
            for buffer in traces.reach.buffers
        ]
        for (one, writes), (other, writes_too) in overlaps(tagged):
            if writes or writes_too:
                joined.join(one, other)
        self._join_holders(joined)
        return joined.members()

    def refusal(self) -> str:
        """One sentence: why these calls cannot be pooled; "" if they can."""
        if self.objection:
            return self.objection
        if self._raised:
            return "an update raised an exception"
        if any(deed.subject is None for deed in self.deeds):
            return "an update is given no array or object that it could change"
        if len(self.deeds) == 1:
            return ONE_UPDATE
        return ""

    @as_frame_of_ours
    def _closely(self, call: StageCall, plainly: Callable[[StageCall], Any]) -> Any:
        values = list(call.items().values())
        position = len(self.deeds)
        before = Look.of(call.found.function, values)
        draws = Draws(streams())
        self._compare(self._latest.again() if position == self._expected else before)
        result = plainly(call)
        after = before.again()
        self._latest.update(after)
        changed = before.changed(after)
        subject = call.subject()
        written = [*changed.buffers, *changed.holders, *reach(subject).buffers, subject]
        self._traces.append(Traces(before.reach, frozenset(map(identity, written))))
        if draws.news():
            self._object(
                f"update {position} draws random numbers from the generator that all "
                "share, so its turn matters"
            )
        return result

    def _compare(self, now: Look) -> None:
        """Between two updates nothing but updates may touch what they touched."""
        changed = self._latest.changed(now)
        if changed.buffers or changed.holders:
            self._object(
                "your loop changes, between two updates, what an update has been given"
            )

    def _join_holders(self, joined: Groups) -> None:
        users: dict[object, list[int]] = {}
        written: set[object] = set()
        for index, traces in enumerate(self._traces):
            written |= traces.written
            for holder in traces.reach.holders:
                users.setdefault(identity(holder), []).append(index)
        for holder in written & users.keys():
            for index in users[holder]:
                joined.join(users[holder][0], index)

    def _object(self, why: str) -> None:
        self.objection = self.objection or why


def agree(one: Sequence[Deed], other: Sequence[Deed]) -> bool:
    """Whether two runs update the same parameters in the same order."""
    return len(one) == len(other) and all(
        a.function is b.function and a.subject is b.subject
        for a, b in zip(one, other, strict=True)
    )
