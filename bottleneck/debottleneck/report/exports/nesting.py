"""Marks -> calls of marked functions, nested as they were made."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from debottleneck.analysis.timeline import marks_by_thread
from debottleneck.recording.loop import CODE, Marks
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import ENTER, LEAVE
from debottleneck.report.exports.threads import Key
from debottleneck.words import STEP


@dataclass(frozen=True)
class Calls:
    """Calls of one thread in order of their begin, outer ones before inner ones.

    Attributes:
        start: Nanoseconds, ascending.
        end: Nanoseconds; an inner call ends no later than the one around it.
        site: Whose call it is.
        count: Consecutive tiny calls that it stands for.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    site: NDArray[np.int64]
    count: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def where(self, mask: NDArray[np.bool_]) -> Calls:
        """Some of them."""
        parts = (self.start, self.end, self.site, self.count)
        return Calls(*(part[mask] for part in parts))


def calls_by_thread(recording: Recording) -> dict[Key, Calls]:
    """Calls of stages in every thread with marks; a step's own call is left out.

    A call that was still open when the thread made its last mark ends there.
    """
    return {
        key: _nested(marks, rows["site"].to_numpy(), rows["calls"].to_numpy())
        for key, (marks, rows) in marks_by_thread(recording).items()
    }


def _nested(marks: Marks, sites: NDArray[np.int64], counts: NDArray[np.int64]) -> Calls:
    stage = np.isin(marks.edge, (ENTER, LEAVE)) & (marks.stage != CODE[STEP])
    parts = (marks.t, marks.edge, sites, counts)
    nest = _Nest()
    for at, edge, site, count in zip(*(p[stage].tolist() for p in parts), strict=True):
        if edge == ENTER:
            nest.enter(at, site)
        else:
            nest.leave(at, site, count)
    return nest.finished(int(marks.t[-1]))


@dataclass
class _Nest:
    """Calls while they are put together, a list a column; open ones by index."""

    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    site: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    open: list[int] = field(default_factory=list)

    def enter(self, at: int, site: int) -> None:
        self.open.append(len(self.start))
        self.start.append(at)
        self.end.append(at)
        self.site.append(site)
        self.count.append(1)

    def leave(self, at: int, site: int, count: int) -> None:
        """End the innermost open call of that site, if there is one.

        Calls within it that go on (coroutines need not nest) are cut in two.
        """
        if all(self.site[index] != site for index in self.open):
            return
        cut = []
        while self.site[self.open[-1]] != site:
            cut.append(self._close(at))
        self.count[self._close(at)] = max(1, count)
        for index in reversed(cut):
            self.enter(at, self.site[index])

    def _close(self, at: int) -> int:
        index = self.open.pop()
        self.end[index] = at
        return index

    def finished(self, last: int) -> Calls:
        """All of them; those still open end at that time."""
        while self.open:
            self._close(last)
        columns = (self.start, self.end, self.site, self.count)
        return Calls(*(np.array(column, np.int64) for column in columns))
