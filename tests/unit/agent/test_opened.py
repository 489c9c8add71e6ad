"""Functions that a long statement calls: which are opened, and what they are then."""

from __future__ import annotations

import ast
import contextlib
import io
import sys
from collections import Counter
from pathlib import Path

from looping import run_loops

from debottleneck.agent import opened
from debottleneck.agent.loops import open_function
from debottleneck.agent.opened import worth

SCRIPT = """
import numpy as np
w = np.zeros(3)
class Net:
    def train_on_batch(self, x):
        '''Long.'''
        a = self.forward_all(x)
        b = self.forward_all(a)
        self.note(b)
        return b
    def forward_all(self, x):
        wait(300_000)
        y = abs(x)
        wait(300_000)
        return x + y
    def note(self, x):
        return x
net = Net()
for k in range(900):
    wait(1_000)
    w -= 0.01 * net.train_on_batch(w + 1)
AFTER
"""


def line_of(text: str) -> int:
    """Line of the script that begins so."""
    lines = [line.strip() for line in SCRIPT.splitlines()]
    return 1 + next(n for n, line in enumerate(lines) if line.startswith(text))


def test_statements_of_long_functions_become_rows(tmp_path: Path) -> None:
    """Of those that take a good part of the step, also within each other."""
    looped = run_loops(tmp_path, SCRIPT.replace("AFTER", ""))
    rows = {line for _, line, _ in looped.marks}
    assert {line_of("a ="), line_of("b ="), line_of("y =")} <= rows
    assert line_of("def note") + 1 not in rows


def test_calls_within_each_other_count_however_deep() -> None:
    """A function that calls itself a thousand times would be marked as often."""

    def walk(depth: int) -> int:
        return 1 + walk(depth - 1) if depth else 0

    watch = opened.CallWatch(lambda file: file == __file__)
    assert watch.begin()
    walk(50)
    _, times = watch.end()
    calls, ns = times[walk.__code__]
    assert calls >= 51
    assert ns > 0


def test_an_opened_function_looks_as_before(tmp_path: Path) -> None:
    """Names, lines and documentation; and it may run on another thread."""
    after = (
        "import threading\nf = Net.train_on_batch\n"
        "print(f.__doc__, f.__code__.co_varnames, f.__code__.co_firstlineno)\n"
        "t = threading.Thread(target=lambda: print(f(net, w * 0)))\n"
        "t.start()\nt.join()"
    )
    looped = run_loops(tmp_path, SCRIPT.replace("AFTER", after))
    first = line_of("def train_on_batch")
    assert looped.output.splitlines() == [
        f"Long. ('self', 'x', 'a', 'b') {first}",
        "[0. 0. 0.]",
    ]


def test_a_file_that_was_edited_is_not_opened(tmp_path: Path) -> None:
    """What runs is what was there when the script began."""
    source = SCRIPT.replace("AFTER", "print(w[0] == w[1])")
    edit = (
        "import atexit\n"
        "text = script.read_text()\n"
        "def prepared(tree, *rest, plain=discover.prepare):\n"
        "    script.write_text(text.replace('x + y', 'undefined'))\n"
        "    return plain(tree, *rest)\n"
        "discover.prepare = prepared\n"
    )
    looped = run_loops(tmp_path, source, before=edit)
    assert looped.output == "True\n"
    assert not {line_of("y =")} & {line for _, line, _ in looped.marks}


def test_the_look_is_over_with_the_loop(tmp_path: Path) -> None:
    """A profile function of ours stays nowhere, and the user's is let be."""
    source = SCRIPT.replace("AFTER", "import sys\nprint(sys.getprofile())")
    short = source.replace("range(900)", "range(503)")
    assert run_loops(tmp_path, short).output == "None\n"
    assert sys.getprofile() is None


def test_another_profile_function_is_waited_for(tmp_path: Path) -> None:
    """It looks once that is done, as when functions are timed for some steps."""
    busy = (
        "import sys\nprofiled = lambda *event: None\nsys.setprofile(profiled)\n"
        "for k in range(900):\n    sys.setprofile(profiled if k < 600 else None)\n"
    )
    source = SCRIPT.replace("for k in range(900):\n", busy).replace("AFTER", "")
    looped = run_loops(tmp_path, source)
    assert 1 + source.splitlines().index("        y = abs(x)") in {
        line for _, line, _ in looped.marks
    }


def test_copies_of_a_loop_are_no_statements() -> None:
    """A function's marks are counted by its lines, however often they stand there."""
    line = "x = f(x) + g(x) + h(x)"
    times = {
        compile(text, "t.py", "exec").replace(co_name="f"): (1, 150_000)
        for text in (line, f"{line}; " * 8, f"{line}\n" * 8)
    }
    assert worth(200_000, times) == [*times][:2]


def test_loops_of_an_opened_function_are_what_they_were(tmp_path: Path) -> None:
    """Of long entries some iterations are marked; those of short ones are silent."""
    loops = (
        "        for i in range(200):\n            wait(1_000)\n"
        "            x = x * 0.99\n            wait(9_000)\n"
        "        for i in range(2):\n            x = abs(x) + 1\n"
        "        y = abs(x)\n"
    )
    source = SCRIPT.replace("        y = abs(x)\n", loops).replace("AFTER", "print(w)")
    looped = run_loops(tmp_path, source)
    plain = source.replace("wait(", "abs(")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(plain, {"__name__": "__main__"})
    assert looped.output == shown.getvalue()
    rows = Counter(line for _, line, _ in looped.marks[-5000:])
    first = 1 + source.splitlines().index("        for i in range(200):")
    assert {first, first + 1, first + 2, first + 3} <= {*rows}
    assert first + 5 not in rows
    assert looped.lines.count(first) == 3  # the loop, its statement, its iterable
    assert rows[first + 2] < 20 * rows[first + 6]


def test_only_loops_that_were_prepared_are_in_an_opened_function() -> None:
    """Of others it is not known how long they are."""
    source = (
        "def f(x):\n    for i in x:\n        g(i)\n    while h(x):\n        x = k(x)\n"
    )
    tree = ast.parse(source)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    plan, loops = open_function(tree, function, source.splitlines(), "point {}", {4})
    assert [row.line for row in plan.rows] == [2, 4]
    assert [loop.line for loop in loops] == [4]
