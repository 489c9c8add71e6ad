"""Marks -> calls of marked functions, nested as they were made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from debottleneck.analysis.timeline import marks_by_thread
from debottleneck.recording.loop import CODE, Marks
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import ENTER, LEAVE
from debottleneck.report.exports.threads import Key
from debottleneck.words import STEP

DEEPEST_SHOWN = 200
"""Calls within calls that a picture shows; damaged marks can open any number."""


@dataclass(frozen=True)
class StageCalls:
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

    def where(self, mask: NDArray[np.bool_]) -> StageCalls:
        """Some of them."""
        return StageCalls(*(getattr(self, one.name)[mask] for one in fields(self)))


def calls_by_thread(recording: Recording) -> dict[Key, StageCalls]:
    """Calls of stages in every thread with marks; steps and lines are left out.

    A call that was still open when the thread made its last mark ends there.
    """
    return {
        key: _nested(marks, rows["site"].to_numpy(), rows["calls"].to_numpy())
        for key, (marks, rows) in marks_by_thread(recording).items()
    }


def sites_of(recording: Recording, pid: int) -> dict[int, tuple[str, str, str, int]]:
    """A process's sites: the stage, and its function, file and line."""
    own = recording.sites[recording.sites.pid == pid]
    columns = [own[c].tolist() for c in ("site", "stage", "name", "file", "line")]
    return {site: tuple(place) for site, *place in zip(*columns, strict=True)}


def _nested(
    marks: Marks, sites: NDArray[np.int64], counts: NDArray[np.int64]
) -> StageCalls:
    stage = np.isin(marks.edge, (ENTER, LEAVE)) & (marks.stage < CODE[STEP])
    columns = (marks.t, marks.edge, sites, counts)
    nest = _Nest()
    for at, edge, site, count in zip(
        *(c[stage].tolist() for c in columns), strict=True
    ):
        if edge == ENTER:
            nest.enter(at, site)
        else:
            nest.leave(at, site, count)
    return nest.finished(int(marks.t[-1]))


class _Nest:
    """Calls while they are put together: begin, end, site and count of each."""

    def __init__(self) -> None:
        self._calls: list[list[int]] = []
        self._open: list[list[int]] = []
        self._too_deep: Counter[int] = Counter()

    def enter(self, at: int, site: int) -> None:
        if len(self._open) == DEEPEST_SHOWN:
            self._too_deep[site] += 1
            return
        call = [at, at, site, 1]
        self._calls.append(call)
        self._open.append(call)

    def leave(self, at: int, site: int, count: int) -> None:
        """End the innermost open call of that site, if there is one.

        Calls within it that go on (coroutines need not nest) are cut in two.
        """
        if self._too_deep[site]:
            self._too_deep[site] -= 1
            return
        if all(opened != site for _, _, opened, _ in self._open):
            return
        cut = []
        while (call := self._close(at))[2] != site:
            cut.append(call[2])
        call[3] = max(1, count)
        for inner in reversed(cut):
            self.enter(at, inner)

    def _close(self, at: int) -> list[int]:
        call = self._open.pop()
        call[1] = at
        return call

    def finished(self, last: int) -> StageCalls:
        """All of them; those still open end at that time."""
        while self._open:
            self._close(last)
        return StageCalls(*np.array(self._calls, np.int64).reshape(-1, 4).T)
