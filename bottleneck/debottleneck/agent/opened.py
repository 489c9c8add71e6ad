"""Functions that a long row calls, opened: their statements become rows below it.

What the training loop calls is seen in one iteration by a profile function. Of the
user's functions in it those that take a good part of the step get code with marks,
compiled from their file; calls from then on run it. It has the same names and lines.
"""

from __future__ import annotations

import ast
import gc
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import decode_source
from time import monotonic_ns
from types import CodeType, FrameType, FunctionType
from typing import Any

from debottleneck.agent import marks, sites, turns
from debottleneck.agent.aside import again
from debottleneck.agent.inline import (
    PLACEHOLDER,
    codes,
    fill,
    first_line,
    key_of,
    without_warnings,
)
from debottleneck.agent.loops import open_function
from debottleneck.agent.pace import MARK_NS
from debottleneck.agent.plans import LoopPlan
from debottleneck.agent.points import SILENCE, Point, Silence, Within, stand_in
from debottleneck.agent.written import as_written
from debottleneck.recording.spool import ENTER
from debottleneck.words import LINE, STEP

DEPTH = 3
"""Functions within each other that are opened, at most."""

LOOK_AT = (1, 8)
"""Iterations after the training loop was found that are looked at."""

PATIENCE = 1_000
"""Iterations to wait for another's profile function to be done."""

LARGE = 0.2
"""A function is opened that takes this part of the step, and that no stage covers."""

COST = 0.02
"""The part of the step that the marks of one function may take."""

MOST_EVENTS = 10_000
"""Calls and returns of one statement that are looked at, some 5 ms."""


class OpenPoint:
    """What the code of an opened function calls.

    Attributes:
        marks: For `with`: its body.
        on: Whether its statements are marked.
    """

    __slots__ = ("_codes", "marks", "on")

    def __init__(self, plan: LoopPlan, name: str, file: str) -> None:
        site = sites.site_of(LINE, name, file, plan.line, "opened", end=plan.end)
        self.use(Within(site, self))
        place = {"file": file, "kind": "statement", "within": site}
        self._codes = [
            sites.site_of(LINE, row.text, line=row.line, end=row.end, **place) << 2  # type: ignore[arg-type] # texts and a number
            | ENTER
            for row in plan.rows
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process the function is plain."""
        from contextlib import nullcontext

        return stand_in(on=False, marks=nullcontext())

    def use(self, marks: Within | Silence) -> None:
        """Begin the body with this; of statements nothing is marked in silence."""
        self.marks, self.on = marks, marks is not SILENCE

    def at(self, index: int) -> None:
        """A statement begins."""
        marks.mark_row(self._codes[index])


class CallWatch:
    """Sees which of the user's functions a statement calls, and for how long.

    After so many events it looks no more, and takes what it saw for the whole.
    """

    def __init__(self, is_own: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._open: list[tuple[FrameType, int]] = []
        self._times: dict[CodeType, list[int]] = {}
        self._files: dict[str, bool] = {}
        self._left = MOST_EVENTS
        self._since = self._seen_ns = monotonic_ns()

    def begin(self) -> bool:
        """Start to look; False where somebody else has a profile function."""
        if sys.getprofile() is not None:
            return False
        self._since = monotonic_ns()
        again(RuntimeError, sys.setprofile, self._see)
        return True

    def end(self) -> tuple[int, dict[CodeType, tuple[float, float]]]:
        """Nanoseconds since it began, and of each function: calls, their time."""
        self._stop()
        passed = monotonic_ns() - self._since
        part = passed / max(self._seen_ns, 1)
        times = {code: (n * part, ns * part) for code, (n, ns) in self._times.items()}
        return passed, times

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        self._left -= 1
        if not self._left:
            self._stop()
        elif event == "call":
            code = frame.f_code
            own = self._files.get(code.co_filename)
            if own is None:
                own = self._is_own(code.co_filename)
                self._files[code.co_filename] = own
            if own and not marks.in_stage():  # each call is marked, at any depth
                self._times.setdefault(code, [0, 0])[0] += 1
                if len(self._open) < DEPTH:
                    self._open.append((frame, monotonic_ns()))
        elif event == "return" and self._open and self._open[-1][0] is frame:
            self._close(monotonic_ns())

    def _stop(self) -> None:
        if sys.getprofile() != self._see:
            return
        again(RuntimeError, sys.setprofile, None)
        now = monotonic_ns()
        self._seen_ns = now - self._since
        while self._open:
            self._close(now)

    def _close(self, now: int) -> None:
        frame, begun = self._open.pop()
        self._times[frame.f_code][1] += now - begun


def worth(step_ns: float, times: Mapping[CodeType, Sequence[float]]) -> list[CodeType]:
    """Functions whose statements are to be told apart."""
    return [
        code
        for code, (calls, ns) in times.items()
        if ns > LARGE * step_ns
        and calls * MARK_NS * len({line for *_, line in code.co_lines()}) < COST * ns
        and not code.co_name.startswith("<")
    ]


def open_all(codes_wanted: Iterable[CodeType]) -> None:
    """Give the functions with that code one with marks."""
    for code in codes_wanted:
        marked = _marked(code)
        if marked is None:
            continue
        for owner in gc.get_referrers(code):
            if isinstance(owner, FunctionType) and owner.__code__ is code:
                owner.__code__ = marked


def _marked(code: CodeType) -> CodeType | None:
    """The function's code with marks; None where that cannot be had."""
    if code.co_flags & _PAUSES or any(map(_marks_stage, code.co_consts)):
        return None
    path, key = code.co_filename, key_of(code)
    try:
        with open(path, "rb") as file:
            source = file.read()
        with without_warnings():
            plain = compile(source, path, "exec", dont_inherit=True)
            tree = again(SystemError, ast.parse, source, path)
            function = _find(tree, code)
            if function is None or codes(plain).get(key) != as_written(code):
                return None  # another text stands there by now
            lines = decode_source(source).splitlines()
            known = {p.plan.line: p for p in turns.points() if p.file == path}
            plan, loops = open_function(tree, function, lines, PLACEHOLDER, known)
            whole = compile(tree, path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    made = codes(whole).get(key)
    same = ("co_freevars", "co_varnames", "co_argcount", "co_flags")
    if made is None or any(getattr(made, n) != getattr(code, n) for n in same):
        return None
    points = {loop.placeholder: known[loop.line] for loop in loops}
    opened = OpenPoint(plan, code.co_qualname, path)
    return fill(made, {plan.placeholder: opened, **points})


_PAUSES = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _marks_stage(constant: object) -> bool:
    """Whether code with this constant marks a stage, or defines what does."""
    if isinstance(constant, Point):
        return sites.mark_of(constant.site)[0] != STEP
    return hasattr(constant, "placeholder")


def _find(tree: ast.Module, code: CodeType) -> ast.FunctionDef | None:
    """The function of that name that begins on that line."""
    key = code.co_name, code.co_firstlineno
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return next((n for n in nodes if (n.name, first_line(n)) == key), None)


class Opening:
    """Is told of each marked iteration once the training loop is known."""

    def __init__(self, is_own: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._number = self._waited = 0
        self._watch: CallWatch | None = None
        self._step_ns = 0
        self._times: dict[CodeType, tuple[float, float]] = {}

    def anew(self) -> None:
        """Another loop is the training loop."""
        self.left()
        self._number = self._waited = 0

    def turned(self) -> bool:
        """An iteration begins; False when the next ones need not be told of."""
        self._number += 1
        if self._watch is not None:
            self.left()
            open_all(worth(self._step_ns, self._times))
        elif self._number in LOOK_AT:
            self._step_ns, self._times = 0, {}
            if not self._begin():  # functions are timed just now
                self._number -= 1
                self._waited += 1
                return self._waited < PATIENCE
        return self._number <= LOOK_AT[-1]

    def row(self) -> None:
        """A statement of it begins."""
        if self._watch is not None:
            self.left()
            self._begin()

    def left(self) -> None:
        """The loop is over, or its statement is."""
        if self._watch is None:
            return
        passed, times = self._watch.end()
        self._watch = None
        self._step_ns += passed
        for code, seen in times.items():
            known = self._times.get(code, (0.0, 0.0))
            self._times[code] = known[0] + seen[0], known[1] + seen[1]

    def _begin(self) -> bool:
        watch = CallWatch(self._is_own)
        self._watch = watch if watch.begin() else None
        return self._watch is not None
