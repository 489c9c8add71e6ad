"""The lines to keep: loops as their plans have them, as a diff of the user's files.

All of it from the files' text and the plans of a run: no code of the user's runs.
"""

from __future__ import annotations

import ast
import difflib
import io
import os
import re
import tokenize
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from debottleneck.strategies.rewriting.bindings import (
    bound_in,
    read_elsewhere,
    scope_of,
)
from debottleneck.strategies.spec import FORWARD, PREFETCH

CODING = re.compile(r"^(#!|[ \t\f]*#.*?coding[:=])")

NONE = (
    "no lines to keep are written for the loop at {loop}: {why}; "
    "`bottleneck run --strategy` does it without an edit"
)
CLOSED = (
    "the lines to keep for the loop at {loop} call a function as a whole that "
    "`bottleneck run --strategy` divides, which is faster"
)


class NoLines(Exception):
    """Why the lines cannot be written, a clause."""


class Script:
    """A file's text, what it says, and the changes made to it.

    Args:
        data: Its bytes.

    Raises:
        SyntaxError: It is no Python.
    """

    def __init__(self, data: bytes) -> None:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        self._encoding = encoding
        self.text = data.decode(encoding)
        self.tree = ast.parse(data)
        self.rows = list(io.StringIO(self.text, newline=""))
        self._starts = [0]
        for row in self.rows:
            self._starts.append(self._starts[-1] + len(row))
        found = re.search(r"\r\n|\n|\r", self.text)
        self.newline = found[0] if found else "\n"
        self.names = _names_of_file(self.tree)
        self._edits: list[tuple[int, int, str]] = []
        self._used: dict[str, str] = {}

    def offset(self, line: int, column: int) -> int:
        """Where a place of the parser's is in the text."""
        row = self.rows[line - 1] if line <= len(self.rows) else ""
        within = row.encode()[:column].decode()
        return self._starts[line - 1] + len(within)

    def start(self, line: int) -> int:
        """Where a line begins."""
        return self._starts[min(line - 1, len(self.rows))]

    def end(self, line: int) -> int:
        """Where a line ends, without what ends it."""
        return self._starts[line - 1] + len(self.rows[line - 1].rstrip("\r\n"))

    def span(self, node: Any) -> tuple[int, int]:
        """Where a node begins and ends."""
        end = self.offset(node.end_lineno, node.end_col_offset)
        return self.offset(node.lineno, node.col_offset), end

    def of(self, node: Any) -> str:
        """The user's text of an expression; its own words where it has several rows."""
        start, end = self.span(node)
        return (
            self.text[start:end]
            if node.lineno == node.end_lineno
            else ast.unparse(node)
        )

    def loop_at(self, line: int) -> ast.For | ast.While:
        """The loop that begins on a line.

        Raises:
            NoLines: None does.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.For | ast.While) and node.lineno == line:
                return node
        raise NoLines(f"line {line} is no loop any more")

    def colon_of(self, loop: ast.For | ast.While) -> tuple[int, int]:
        """Where the colon of its header is, and on which row."""
        last = loop.iter if isinstance(loop, ast.For) else loop.test
        at = self.text.index(":", self.span(last)[1])
        return at, bisect(self._starts, at)

    def indent(self, node: Any) -> str:
        """What stands before it on its line."""
        return self.text[self.start(node.lineno) : self.span(node)[0]]

    def change(self, start: int, end: int, text: str) -> None:
        """Put other text there; its line ends become the file's."""
        self._edits.append((start, end, text))

    def free(self, *wanted: str) -> str:
        """The first of these names that nothing has; it is taken from now on."""
        numbered = (f"{wanted[-1]}_{n}" for n in range(2, 1000))
        name = next(n for n in (*wanted, *numbered) if n not in self.names)
        self.names.add(name)
        return name

    def use(self, name: str) -> str:
        """Import a name of the library; what it is called here."""
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "debottleneck":
                for alias in node.names:
                    if alias.name == name:
                        return alias.asname or name
        if name in self._used:
            return self._used[name]
        called = self._used[name] = self.free(name, f"debottleneck_{name}")
        renamed = "" if called == name else f" as {called}"
        at = self.start(self._first_line())
        self.change(at, at, f"from debottleneck import {name}{renamed}\n")
        return called

    def _first_line(self) -> int:
        """The line for another import: after the first ones, else the first of all."""
        last = 0
        for node in self.tree.body:
            is_text = isinstance(node, ast.Expr) and isinstance(
                node.value, ast.Constant
            )
            if not (isinstance(node, ast.Import | ast.ImportFrom) or is_text):
                break
            last = node.end_lineno or 0
        if not last:
            first = [*map(CODING.match, self.rows[:2]), None]
            last = first.index(None)
        return last + 1

    def changed(self) -> bytes:
        """The file with all changes.

        Raises:
            NoLines: Two of them meet.
        """
        text, end = [], 0
        for start, stop, new in sorted(self._edits, key=lambda edit: edit[:2]):
            if start < end:
                raise NoLines("two of the loops overlap")
            text += [self.text[end:start], re.sub(r"(?<!\r)\n", self.newline, new)]
            end = stop
        made = "".join([*text, self.text[end:]])
        data = made.encode(self._encoding)
        compile(data, "patched", "exec", dont_inherit=True)
        return data


# A loop whose turns run side by side, in the user's words and the library's.


def _side_by_side(script: Script, plan: Mapping[str, Any]) -> None:
    """Change the script.

    Raises:
        NoLines: It cannot be written.
    """
    how = f", workers={plan['workers']}"
    for node in ast.walk(script.tree):
        if getattr(node, "lineno", 0) != plan["line"]:
            continue
        if isinstance(node, ast.For):
            return _statement(script, node, plan["strategy"] == FORWARD, how)
        if isinstance(node, ast.ListComp) and len(node.generators) == 1:
            return _comprehension(script, node, how)
    raise NoLines(f"line {plan['line']} is no loop any more")


def _comprehension(script: Script, node: ast.ListComp, how: str) -> None:
    """`[layer(x) for layer in layers]`, and what is like it."""
    part = node.generators[0]
    if not isinstance(part.target, ast.Name):
        raise NoLines("its turns have several names")
    function = f"lambda {part.target.id}: {script.of(node.elt)}"
    called = script.use("parallel_forward")
    text = f"{called}({function}, {script.of(part.iter)}{how})"
    script.change(*script.span(node), text)


def _statement(script: Script, node: ast.For, forward: bool, how: str) -> None:
    """`for p, g in zip(params, grads): update(p, g)`, and what is like it."""
    bound = set[str]().union(bound_in(node.target), *map(bound_in, node.body))
    lost = bound & read_elsewhere(scope_of(script.tree, node), node)
    if lost:
        raise NoLines(f"{min(lost)}, which its turns set, is used after it")
    called = script.use("parallel_forward" if forward else "parallel_update")
    function = script.free("forward" if forward else "update", "one_turn")
    indent, given = script.indent(node), script.of(node.target)
    (colon, row), end = script.colon_of(node), script.end(node.end_lineno or 0)
    body = script.text[colon:end]
    if not isinstance(node.target, ast.Name):
        item, inner = script.free("item", "one"), script.indent(node.body[0])
        if node.body[0].lineno == row:
            inner = f"{indent}    "
            body = f":\n{inner}{body[1:].strip()}"
        head, newline, rest = body.partition("\n")
        given, body = item, f"{head}{newline}{inner}{given} = {item}\n{rest}"
    text = f"def {function}({given}){body}\n{indent}"
    text += f"{called}({function}, {script.of(node.iter)}{how})"
    script.change(script.span(node)[0], end, text)


def _names_of_file(tree: ast.Module) -> set[str]:
    """Names that mean something anywhere in it."""
    found = bound_in(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found = found.union(*map(bound_in, node.body))
    return found


def patched(data: bytes, plans: Sequence[Mapping[str, Any]]) -> bytes:
    """A file with its loops as their plans have them.

    Args:
        data: The file.
        plans: Of loops of it, as `Plan.as_json` gives them.

    Raises:
        NoLines: It cannot be written.
    """
    from debottleneck.strategies.rewriting.patch_ahead import Ahead

    try:
        script = Script(data)
        for plan in plans:
            if plan["strategy"] == PREFETCH:
                Ahead(script, plan).write()
            else:
                _side_by_side(script, plan)
        return script.changed()
    except (SyntaxError, UnicodeError) as error:
        raise NoLines(f"the lines would not be Python ({error})") from error


def diff(plans: Sequence[Mapping[str, Any]], folder: Path) -> bytes:
    """What `git apply` and `patch -p1` take, for the files of these plans.

    Raises:
        NoLines: It cannot be written.
    """
    made = b""
    for file in dict.fromkeys(str(plan["file"]) for plan in plans):
        path = Path(os.path.relpath(os.path.realpath(file), os.path.realpath(folder)))
        if path.parts[:1] == ("..",):
            raise NoLines(f"{file} lies outside this folder")
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            raise NoLines(f"{file} cannot be read ({error.strerror})") from error
        new = patched(data, [plan for plan in plans if str(plan["file"]) == file])
        made += b"".join(_unified(data, new, path.as_posix()))
    return made


def lines_to_keep(
    plans: Sequence[Mapping[str, Any]], folder: Path
) -> tuple[bytes, list[str]]:
    """The diff of what can be written, and sentences about what cannot."""
    found: list[Mapping[str, Any]] = []
    said: list[str] = []
    for plan in plans:
        loop = f"{os.path.basename(str(plan['file']))}:{plan['line']}"
        closed = plan["closed"]
        for each in filter(None, (plan, closed)):
            try:
                diff([*found, each], folder)
            except NoLines as error:
                why = str(error)
                continue
            except Exception as error:  # noqa: BLE001 - a comparison is worth more
                why = f"it could not be written ({error!r})"
                continue
            found.append(each)
            if each is closed:
                said.append(CLOSED.format(loop=loop))
            break
        else:
            said.append(NONE.format(loop=loop, why=why))
    return diff(found, folder), said


def _unified(old: bytes, new: bytes, path: str) -> Iterator[bytes]:
    tab = b"\t" if " " in path else b""  # by which both programs tell where it ends
    name = os.fsencode(path)
    before, after = (_rows(data) for data in (old, new))
    names = b"a/" + name + tab, b"b/" + name + tab
    lines = difflib.diff_bytes(difflib.unified_diff, before, after, *names)
    for line in lines:
        yield (
            line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
        )


def _rows(data: bytes) -> list[bytes]:
    """Its lines as both programs see them, with what ends them."""
    *rows, last = data.split(b"\n")
    return [*(row + b"\n" for row in rows), *filter(None, [last])]
