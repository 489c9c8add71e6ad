"""Small programs of nested loops, made at random, and what they do when they run.

A program is the source of one function `program(note)`. It notes what it reaches,
with its local variables and the line; some statements raise.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import CodeType
from typing import Any

from hypothesis import strategies as st

SIMPLE = (
    "note(locals())",
    "x = f(x + 1)",
    "y, *z = x, x + 1, x + 2",
    "del y",
    "x += 1",
    "raise KeyError(x)",
    "1 / (x % 3)",
    "note(x, (x := x + 1))",
    "a[x % 3] -= 1",
    "a = f(a)",
    "note([f(i) + x for i in range(x % 4) if f(i) - 1])",
    "y = {f(k): note(k) for k in items()}",
    "y = sum(f(v) for v in fussy(3)) + sum(f(v) for v in (1, 2))",
    "y = [f(v) for v in x]",
    "x = max((6 / (f(i) - x) for i in range(3)), default=f(x))",
    "y = [[f(x := v) for v in range(u)] for u in range(f(3))]",
    "y = next((f(v) for v in range(x, x + 2)))",
)
LEAVING = ("break", "continue", "return x", "return f(x)")
HEADERS = (
    "for i in range(x % 4):",
    "for x in range(2, 5):",
    "for i, x in enumerate(items()):",
    "for a[0] in fussy(3):",
    "for x in 5 if x == 4 else (1, 2):",
    "while x < 7:",
    "while (x := x + 1) % 5:",
    "while f(x) % 7 and x < 30:",
)

PRELUDE = '''
def f(x):
    return x

def items():
    """Says when it is closed."""
    try:
        for i in range(4):
            note("next", i)
            yield i
    finally:
        note("closed")

class fussy:
    """Begins anew each time that it is asked for its iterator."""
    def __init__(self, count):
        self.count = count
    def __iter__(self):
        note("iter", sys._getframe(1).f_lineno)
        self.i = 0
        return self
    def __next__(self):
        note("caller", sys._getframe(1).f_code.co_name)
        self.i += 1
        if self.i > self.count:
            raise StopIteration
        return self.i

def program():
    global g
    x = y = 1
    a = [1, 2, 3]
'''


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@st.composite
def _block(draw: Any, depth: int, in_loop: bool) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        kinds = ["simple", "simple"]
        kinds += ["leave"] if in_loop else []
        kinds += ["loop", "loop", "if", "try", "with"] if depth else []
        kind = draw(st.sampled_from(kinds))
        inner = _block(depth - 1, in_loop)
        if kind == "simple":
            lines.append(draw(st.sampled_from(SIMPLE)))
        elif kind == "leave":
            lines += [f"if x % {draw(st.integers(2, 4))} == 0:"]
            lines += _indented([draw(st.sampled_from(LEAVING))])
        elif kind == "loop":
            lines.append(draw(st.sampled_from(HEADERS)))
            lines += _indented(["tick()", *draw(_block(depth - 1, True))])
            if draw(st.booleans()):
                lines += ["else:", *_indented(draw(inner))]
        elif kind == "if":
            lines += ["if x % 2:", *_indented(draw(inner))]
            lines += ["else:", *_indented(draw(inner))]
        elif kind == "with":
            lines += ["with said('with'):", *_indented(draw(inner))]
        else:
            lines += ["try:", *_indented(draw(inner))]
            lines += ["except (KeyError, NameError) as error:"]
            lines += _indented(["note(lines(error))", *draw(inner)])
            if draw(st.booleans()):
                lines += ["finally:", *_indented(["note('finally', x)"])]
    return lines


def programs() -> st.SearchStrategy[str]:
    """Sources."""
    return _block(3, False).map(lambda lines: PRELUDE + "\n".join(_indented(lines)))


def outcome(source: str, compiled: Callable[[str], CodeType]) -> list[object]:
    """What a program notes, returns or raises, its traceback with carets included.

    Args:
        source: Of the program.
        compiled: Makes code of it.
    """
    noted: list[object] = []
    left = [300]

    def tick() -> None:
        left[0] -= 1
        if not left[0]:
            raise TimeoutError("it goes on for ever")

    def note(*what: object) -> None:
        noted.append((repr(what), sys._getframe(1).f_lineno))

    class said:
        def __init__(self, what: str) -> None:
            self.what = what

        def __enter__(self) -> None:
            noted.append(("enter", self.what))

        def __exit__(self, kind: object, *error: object) -> None:
            noted.append(("exit", self.what, kind))

    space: dict[str, Any] = {"sys": sys, "note": note, "tick": tick, "said": said}
    space["lines"] = lambda error: _places(error)
    exec(compiled(source), space)
    try:
        noted.append(("returned", repr(space["program"]())))
    except Exception as error:  # noqa: BLE001 - whatever it raises is to be compared
        noted.append((repr(error), _places(error)))
        noted.append(_places(error.__context__) if error.__context__ else None)
    return noted


def _places(error: BaseException) -> list[tuple[object, ...]]:
    """Function, lines and columns of each entry of a traceback."""
    walked = traceback.walk_tb(error.__traceback__)
    found = traceback.StackSummary.extract(walked)
    return [
        (e.filename, e.name, e.lineno, e.end_lineno, e.colno, e.end_colno)
        for e in found
        if e.filename != __file__
    ]
