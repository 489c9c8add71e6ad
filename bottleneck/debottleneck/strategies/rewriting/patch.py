"""The lines to keep: loops as their plans have them, as a diff of the user's files.

All of it from a file's text and the plans of a run, as JSON: no code of the user's runs.
"""

from __future__ import annotations

import ast
import difflib
import io
import os
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from debottleneck.strategies.spec import PREFETCH

CODING = re.compile(r"^(#!|[ \t\f]*#.*?coding[:=])")


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
        self.names = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name)}
        self.names |= {n.arg for n in ast.walk(self.tree) if isinstance(n, ast.arg)}
        for part in ast.walk(self.tree):
            if isinstance(part, ast.FunctionDef | ast.ClassDef | ast.alias):
                self.names |= {part.name, getattr(part, "asname", None) or part.name}
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
        """The user's text of a node."""
        start, end = self.span(node)
        return self.text[start:end]

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


def patched(data: bytes, plans: Sequence[Mapping[str, Any]]) -> bytes:
    """A file with its loops as their plans have them.

    Args:
        data: The file.
        plans: Of loops of it, as `Plan.as_json` gives them.

    Raises:
        NoLines: It cannot be written.
    """
    from debottleneck.strategies.rewriting.patch_ahead import Ahead
    from debottleneck.strategies.rewriting.patch_turns import side_by_side

    try:
        script = Script(data)
        for plan in plans:
            if plan["strategy"] == PREFETCH:
                Ahead(script, plan).write()
            else:
                side_by_side(script, plan)
        return script.changed()
    except (SyntaxError, UnicodeError) as error:
        raise NoLines(f"the lines would not be Python ({error})") from error


def diff(plans: Sequence[Mapping[str, Any]], folder: Path) -> bytes:
    """What `git apply` and `patch -p1` take, for the files of these plans.

    Args:
        plans: As `Plan.as_json` gives them.
        folder: Paths are relative to it.

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


def _unified(old: bytes, new: bytes, path: str) -> Iterator[bytes]:
    tab = b"\t" if " " in path else b""  # by which both programs tell where it ends
    name = os.fsencode(path)
    sides = [data.split(b"\n") for data in (old, new)]
    rows = [[*(r + b"\n" for r in s[:-1]), *filter(None, s[-1:])] for s in sides]
    lines = difflib.diff_bytes(
        difflib.unified_diff, *rows, b"a/" + name + tab, b"b/" + name + tab
    )
    for line in lines:
        yield (
            line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
        )
