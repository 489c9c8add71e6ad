"""A stopwatch put into a copy of a training script: seconds of each line of its loop.

Independent of the package, to judge it by. `install` replaces a file by a stub that
compiles the original with calls of `Stopwatch` between the statements of the loop, of
the loops around it and of those loops in the same file that call its function. The
time from one such call to the next is the line's; a nested function's is its caller's.
A line's first run is not timed: meanwhile the functions that it calls are noted.
"""

from __future__ import annotations

import ast
import atexit
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import CodeType, FrameType
from typing import Any

WARMUP = 3
"""Iterations left out of all times: caches fill, threads start, functions compile."""

OUTSIDE = 0
"""Number and line of what lies between two entries of the instrumented loops."""

STUB = """\
import sys
sys.path.insert(0, {here!r})
import loop_stopwatch
sys.path.remove({here!r})
exec(loop_stopwatch.compiled(__file__, **{options!r}), globals())
"""

LOOPS = (ast.For, ast.AsyncFor, ast.While)
SCOPES = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)
Loop = ast.For | ast.AsyncFor | ast.While

SECONDS, RUNS, NOTED, NOTED_SECONDS = range(4)
"""Of a statement: timed seconds, runs, those of them that were not timed, theirs."""


class Stopwatch:
    """Which statement runs now; `write` says for how long each line ran.

    Statements are numbered; `places` are their lines.
    """

    def __init__(self, places: list[int], seconds: float, result: Path) -> None:
        self.places, self.seconds, self.result = places, seconds, result
        self.about: dict[str, Any] = {}
        self.rows: dict[int, list[float]] = {}
        self.calls: dict[int, set[tuple[str, int, str]]] = {}
        self.stack: list[int] = []
        self.iterations, self.switches, self.noting = 0, 0, False
        self.pid, self.now, self.ended_by = os.getpid(), OUTSIDE, "script"
        self.started = self.last = 0.0
        atexit.register(self.write)

    def at(self, number: int) -> None:
        """From here on this statement runs."""
        passed = perf_counter() - self.last
        row = self.rows.get(self.now)
        if row is None:
            row = self.rows.setdefault(self.now, [0.0, 0, 0, 0.0])
        if self.noting:
            sys.setprofile(None)
            self.noting = False
            row[NOTED] += 1
            row[NOTED_SECONDS] += passed
        else:
            row[SECONDS] += passed
        row[RUNS] += 1
        self.now = number
        self.switches += 1
        if number not in self.calls:
            self.calls[number] = set()
            self.noting = True
            sys.setprofile(self.note)
        self.last = perf_counter()

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Remember a function that the present statement calls."""
        if event == "call":
            code, name = frame.f_code, frame.f_code.co_qualname
            if code.co_name == "_wrapped_call_impl":
                kind = type(frame.f_locals.get("self")).__module__
                name = "loss module" if kind.endswith(".loss") else "module"
            self.calls[self.now].add((code.co_filename, code.co_firstlineno, name))

    def enter(self) -> None:
        """A loop that belongs to no instrumented one of its function begins."""
        self.stack.append(self.now)
        if not self.rows:
            self.last, self.calls[OUTSIDE] = perf_counter(), set()

    def leave(self) -> None:
        """It ended, in whatever way."""
        self.at(self.stack.pop())

    def tick(self) -> None:
        """An iteration of the true loop begins, its item is there."""
        if self.iterations == 0:
            self.started = perf_counter()
        if self.iterations == WARMUP:
            self.rows = {self.now: [0.0, 0, 0, 0.0]}
            self.last = perf_counter()
        if perf_counter() - self.started > self.seconds:
            self.ended_by = "seconds"
            self.write()
            sys.stdout.flush()
            os._exit(0)
        self.iterations += 1

    def write(self) -> None:
        """Write down what was measured, once, in the process that began."""
        sys.setprofile(None)
        if os.getpid() != self.pid or not self.iterations or self.result.exists():
            return
        passed = perf_counter() - self.started
        document = {
            **self.about,
            "iterations": self.iterations,
            "loop_seconds": passed,
            "switches_per_s": self.switches / passed,
            "ended_by": self.ended_by,
            **self.by_line(),
        }
        self.result.write_text(json.dumps(document), encoding="utf-8")

    def by_line(self) -> dict[str, Any]:
        """Seconds and runs of each line, and the functions that it called."""
        lines: dict[int, float] = {}
        runs: dict[int, float] = {}
        calls: dict[int, set[tuple[str, int, str]]] = {}
        for number, row in self.rows.items():
            line = self.places[number]
            lines[line] = lines.get(line, 0.0) + scaled(row)
            runs[line] = max(runs.get(line, 0.0), row[RUNS])
        for number, called in self.calls.items():
            calls.setdefault(self.places[number], set()).update(called)
        return {
            "lines": {line: seconds for line, seconds in lines.items() if seconds},
            "runs": runs,
            "calls": {line: sorted(called) for line, called in calls.items()},
        }


def scaled(row: list[float]) -> float:
    """Seconds of all runs of a statement, from those that were timed."""
    timed = row[RUNS] - row[NOTED]
    return row[SECONDS] * row[RUNS] / timed if timed > 0 else row[NOTED_SECONDS]


def install(
    script: Path, line: int, seconds: float, result: Path, nested: bool
) -> None:
    """Replace `script` by one that measures the loop at `line` for `seconds`.

    The loops within that loop are opened line by line if `nested`, else each of them
    is one line. The original stays beside it as a `.text` file.
    """
    original = script.with_suffix(".text")
    if not original.exists():
        script.rename(original)
    options = {"line": line, "seconds": seconds, "result": str(result)}
    here = str(Path(__file__).parent)
    stub = STUB.format(here=here, options={**options, "nested": nested})
    script.write_text(stub, encoding="utf-8")


def compiled(
    file: str, line: int, seconds: float, result: str, nested: bool
) -> CodeType:
    """The original of the stub `file`, with its stopwatch as a global."""
    text = Path(file).with_suffix(".text").read_bytes()
    tree = ast.parse(text, file)
    places, ends = instrument(tree, line, nested)
    sys.modules["loop_stopwatch"] = sys.modules[__name__]
    stopwatch = Stopwatch(places, seconds, Path(result))
    stopwatch.about = {"file": file, "line": line, "ends": ends}
    _started.append(stopwatch)
    return compile(ast.fix_missing_locations(tree), file, "exec", dont_inherit=True)


_started: list[Stopwatch] = []


def watch() -> Stopwatch:
    """The stopwatch of this process: what compiled code calls."""
    return _started[-1]


def instrument(
    tree: ast.Module, line: int, nested: bool
) -> tuple[list[int], dict[int, int]]:
    """Put the calls into the tree.

    Returns:
        The line of each numbered statement, and the lines of loops that are timed as
        a whole with their ends.

    Raises:
        LookupError: No loop begins at this line.
    """
    target, scope = find(tree, line)
    wanted = calling(tree, scope)
    within = Instrument(target, nested)
    for owner in wanted:
        for loop, block in outermost(owner):
            relevant = owner is not scope and mentions(loop, wanted)
            if relevant or any(node is target for node in ast.walk(loop)):
                within.enter(loop, block)
    start = 0
    for k, node in enumerate(tree.body):  # after the docstring and __future__
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if future or (k == 0 and ast.get_docstring(tree) is not None):
            start = k + 1
    get = "import loop_stopwatch; stopwatch = loop_stopwatch.watch()"
    get += "; stopwatch_at = stopwatch.at; stopwatch_tick = stopwatch.tick"
    tree.body[start:start] = ast.parse(get).body
    return within.places, within.ends


def find(tree: ast.Module, line: int) -> tuple[Loop, ast.AST]:
    """The loop that begins at a line, and the module or function that holds it."""
    for scope in (node for node in ast.walk(tree) if isinstance(node, SCOPES)):
        for node in own(scope):
            if isinstance(node, LOOPS) and node.lineno == line:
                return node, scope
    raise LookupError(f"no loop begins at line {line}")


def own(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes below this one, but for those of nested functions and classes."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, (*SCOPES, ast.ClassDef, ast.Lambda)):
            yield node
            yield from own(node)


def calling(tree: ast.Module, scope: ast.AST) -> list[ast.AST]:
    """The scope, and all from which calls lead to it, by their names."""
    scopes = [node for node in ast.walk(tree) if isinstance(node, SCOPES)]
    wanted = [scope]
    for _ in scopes:
        for other in scopes:
            if other not in wanted and mentions(other, wanted):
                wanted.append(other)
    return wanted


def mentions(node: ast.AST, wanted: list[ast.AST]) -> bool:
    """Whether it calls one of these functions, by its name."""
    names = {name for one in wanted if (name := getattr(one, "name", ""))}
    for child in (node, *own(node)):
        if isinstance(child, ast.Call):
            name = getattr(child.func, "attr", getattr(child.func, "id", ""))
            if name in names:
                return True
    return False


def outermost(scope: ast.AST) -> list[tuple[Loop, list[ast.stmt]]]:
    """Loops of a scope that lie in no other loop of it, with the block they are in."""
    loops: list[tuple[Loop, list[ast.stmt]]] = []
    for block in blocks(scope):
        for node in block:
            if isinstance(node, LOOPS):
                loops.append((node, block))
            elif not isinstance(node, (*SCOPES, ast.ClassDef)):
                loops += outermost(node)
    return loops


def blocks(node: ast.AST) -> list[list[ast.stmt]]:
    """The lists of statements that belong to a node."""
    names = ("body", "orelse", "finalbody", "handlers", "cases")
    lists = [getattr(node, name, None) for name in names]
    found: list[list[ast.stmt]] = []
    for block in (block for block in lists if isinstance(block, list) and block):
        if isinstance(block[0], ast.stmt):
            found.append(block)
        else:  # handlers of a `try`, cases of a `match`
            found += [part.body for part in block]
    return found


def call(text: str, node: ast.AST) -> ast.stmt:
    """A statement at another's place."""
    statement = ast.parse(text).body[0]
    for child in ast.walk(statement):
        ast.copy_location(child, node)
    return statement


class Instrument:
    """Puts `stopwatch_at(number)` before each statement of a loop, at any depth."""

    def __init__(self, target: Loop, nested: bool) -> None:
        self.target, self.nested = target, nested
        self.places = [OUTSIDE]
        self.ends: dict[int, int] = {}
        self.inside = 0  # how many loops, from the target on

    def enter(self, loop: Loop, block: list[ast.stmt]) -> None:
        """Instrument an outermost loop; the stopwatch is told when it is left."""
        place = next(k for k, node in enumerate(block) if node is loop)
        guard = ast.Try(self.statement(loop, OUTSIDE), [], [], [])
        guard.finalbody = [call("stopwatch.leave()", loop)]
        ast.copy_location(guard, loop)
        block[place : place + 1] = [call("stopwatch.enter()", loop), guard]

    def statement(self, node: ast.stmt, around: int) -> list[ast.stmt]:
        """What stands in its place; `around` is the number of the loop around it."""
        number = len(self.places)
        self.places.append(node.lineno)
        before = call(f"stopwatch_at({number})", node)
        if isinstance(node, ast.Continue):
            return [before, call(f"stopwatch_at({around})", node), node]
        if isinstance(node, (*SCOPES, ast.ClassDef)):
            return [before, node]
        if isinstance(node, LOOPS):
            return [before, self.loop(node, number)]
        for block in blocks(node):
            block[:] = [new for one in block for new in self.statement(one, around)]
        if isinstance(node, ast.With | ast.AsyncWith):
            node.body.append(call(f"stopwatch_at({number})", node))
        return [before, node]

    def loop(self, node: Loop, number: int) -> Loop:
        """A loop whose body is opened, unless it lies too deep."""
        if self.inside and not self.nested:
            self.ends[node.lineno] = node.end_lineno or node.lineno
            return node
        self.inside += bool(self.inside or node is self.target)
        for block in blocks(node):
            block[:] = [new for one in block for new in self.statement(one, number)]
        self.inside -= bool(self.inside)
        node.body.append(call(f"stopwatch_at({number})", node))
        if node is self.target:
            node.body.insert(0, call("stopwatch_tick()", node))
        return node
