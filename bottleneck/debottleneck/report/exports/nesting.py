"""Marks -> calls of marked functions and runs of statements, nested as they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, fields
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from debottleneck.analysis.timeline import marks_by_thread
from debottleneck.recording.loop import CODE, LOOP, OPENED, Marks
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import ENTER, LEAVE
from debottleneck.report.exports.threads import Key
from debottleneck.words import LINE, STEP

DEEPEST_SHOWN = 200
"""Calls within calls that a picture shows; damaged marks can open any number."""


@dataclass(frozen=True)
class StageCalls:
    """Calls and statements of one thread as they began, outer ones before inner ones.

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
    """Calls of stages, and statements, in every thread with marks; steps are left out.

    A statement goes on until the next one of its function or the loop's next
    iteration. What was still open when the thread made its last mark ends there.
    """
    loops = recording.loops[recording.loops["rank"] == 0]
    chosen = loops.set_index("pid")["site"].to_dict()
    return {
        key: _nested(marks, chosen.get(key[0]))
        for key, (marks, _) in marks_by_thread(recording).items()
    }


def sites_of(recording: Recording, pid: int) -> dict[int, tuple[str, str, str, int]]:
    """A process's sites: the stage or line, and its function or text, file and line."""
    own = recording.sites[recording.sites.pid == pid]
    columns = [own[c].tolist() for c in ("site", "stage", "name", "file", "line")]
    return {
        site: (_row(stage, file, line), name, file, line)
        for site, stage, name, file, line in zip(*columns, strict=True)
    }


def _row(stage: str, file: str, line: int) -> str:
    return f"{PurePosixPath(file).name}:{line}" if stage == LINE else stage


def _nested(marks: Marks, chosen: int | None) -> StageCalls:
    """Of one thread; `chosen` is the site of the loop that trains."""
    shown = np.isin(marks.edge, (ENTER, LEAVE)) & (marks.stage != CODE[STEP])
    shown |= (marks.stage == CODE[LOOP]) & (marks.site == chosen)
    columns = (marks.t, marks.edge, marks.stage, marks.site, marks.calls)
    kinds = (set(marks.site[marks.stage == CODE[kind]]) for kind in (LINE, OPENED))
    nest = _Nest(*kinds)
    for at, edge, stage, site, count in zip(
        *(c[shown].tolist() for c in columns), strict=True
    ):
        if stage in (CODE[LINE], CODE[LOOP]):
            nest.end_statements(at)
        if edge == LEAVE:
            nest.leave(at, site, count)
        elif edge == ENTER:
            nest.enter(at, site)
    return nest.finished(int(marks.t[-1]))


class _Nest:
    """Calls while they are put together: begin, end, site and count of each.

    It knows which sites are statements, and which are functions that were opened.
    """

    def __init__(self, statements: Container[int], opened: Container[int]) -> None:
        self._statements, self._opened = statements, opened
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

    def end_statements(self, at: int) -> None:
        """End those of the innermost function that is open."""
        while self._open and self._open[-1][2] in self._statements:
            self._close(at)

    def leave(self, at: int, site: int, count: int) -> None:
        """End the innermost open call of that site, if there is one.

        Calls within it that go on (coroutines need not nest) are cut in two; the
        statements of a function end with it.
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
            if site not in self._opened or inner not in self._statements:
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
