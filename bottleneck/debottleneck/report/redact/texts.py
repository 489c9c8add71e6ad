"""Files, paths and texts by names that give away nothing of the house they are from.

Two forms share this: the strict one for pages that leave the house keeps names only,
the other one takes away what is of one machine and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from debottleneck.report.words.quantities import LIBRARY_MARKS

HOME = "redacted"
"""Folder that the user's own files are put in, so that they are known as such."""

ARGUMENTS = "(arguments left out)"
ARGUMENT, ADDRESS, PATH = "(an argument)", "(an address)", "(a path)"

LIBRARY = "site-packages"
AGENT = "/debottleneck/agent/"
"""Frames of ours are known by this part of their path."""

SYSTEM = ("/proc/", "/sys/", "/dev/")
"""The same on every machine."""

SHORTEST = 3
"""Arguments shorter than this are words of any sentence."""

_PART = r"[^\s/'\"`,;:()\[\]<>|]+"
_ANY_PATH = rf"(?<![\w.~/<-])(?!//)(?:~|\.{{1,2}})?(?:/{_PART})+/?"
_ADDRESS = re.compile(r"\w+://[^\s'\"]+|\b\d+\.\d+\.\d+\.\d+\b(?::\d+)?")
_AFTER_PATH = re.compile(re.escape(PATH) + ".*", re.S)
"""Nobody can tell where an unknown path ends: it may have any character in it."""

_OUTPUT = re.compile(r"(?: \(.*\))?; its output: .*", re.S)
"""What a failed script said last, and where its output lies."""


@dataclass(frozen=True)
class Rules:
    """What may stay of places and texts.

    Attributes:
        strict: Names only: no folder, argument, peer or line of source.
        roots: Without `strict`: folders whose own part of a path goes, so that a
            path below them is the same on every machine.
    """

    strict: bool = True
    roots: tuple[str, ...] = ()


def place(file: str, rules: Rules, own: bool = False) -> str:
    """What a file is called.

    Args:
        file: Its path as it was recorded.
        rules: What may stay.
        own: Whether it is the user's own code.
    """
    if "/" not in file or file.startswith("<"):
        return file
    if not rules.strict and not file.startswith("/"):
        return file
    if AGENT in file:
        return LIBRARY + file[file.index(AGENT) :]
    name = PurePosixPath(file).name
    if rules.strict and own:
        return f"{HOME}/{name}"
    return _library(file) or (None if rules.strict else below(file, rules)) or name


def below(path: str, rules: Rules) -> str | None:
    """The path below one of the roots, None outside of them."""
    for root in sorted(rules.roots, key=len, reverse=True):
        if PurePosixPath(path).is_relative_to(root):
            return str(PurePosixPath(path).relative_to(root))
    return None


def _library(file: str) -> str | None:
    """Below site-packages or the standard library's folder, whatever is above."""
    parts = PurePosixPath(file).parts
    for index, part in enumerate(parts):
        if part in LIBRARY_MARKS:
            return "/".join((LIBRARY, *parts[index + 1 :]))
    for index, part in enumerate(parts[:-1]):
        if part.startswith("python3") and index and parts[index - 1] == "lib":
            return "/".join(parts[index - 1 :])
    return None


def distinct(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """File -> what it is called; different files stay different.

    Args:
        files: Each file and what it would be called alone, the one to keep its
            name first.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for file, wanted in files:
        if file in found:
            continue
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted} ({number})"
        taken.add(name)
        found[file] = name
    return found


@dataclass(frozen=True)
class Words:
    """Takes paths, addresses and arguments out of texts.

    Attributes:
        rules: What may stay.
        names: Path -> what it is called: files and folders that are known.
        arguments: The script's arguments.
    """

    rules: Rules
    names: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        """Known paths that do not look like one (spaces in them), then what does."""
        odd = [n for n in self.names if "/" in n and not re.fullmatch(_ANY_PATH, n)]
        odd = sorted((n for n in odd if len(n) > 1), key=len, reverse=True)
        known = (rf"(?<![\w.~/-]){re.escape(n)}(?:/{_PART})*(?![\w-])" for n in odd)
        return re.compile("|".join([*known, _ANY_PATH]))

    @cached_property
    def _arguments(self) -> re.Pattern[str] | None:
        parts = {p for a in self.arguments for p in (a, *a.split("=", 1))}
        telling = [p for p in parts if len(p) >= SHORTEST and not _is_number(p)]
        return _any_of(telling)

    @cached_property
    def _odd(self) -> re.Pattern[str] | None:
        """Arguments that are no plain words: these may stand in no name either."""
        parts = {p for a in self.arguments for p in (a, *a.split("=", 1))}
        return _any_of([p for p in parts if re.search(r"[^\w-]", p) and len(p) > 1])

    def name(self, text: str) -> str:
        """A name of a thread or function, or a line of code."""
        if not self.rules.strict:
            return self._without_paths(text)
        said = self._odd.sub(ARGUMENT, text) if self._odd else text
        found = self._without_paths(_ADDRESS.sub(ADDRESS, said))
        return _AFTER_PATH.sub(PATH, found)

    def text(self, text: str) -> str:
        """A sentence; in the strict form nothing that the script itself said."""
        if not self.rules.strict:
            return self._without_paths(text)
        said = self.name(_OUTPUT.sub("", text))
        return self._arguments.sub(ARGUMENT, said) if self._arguments else said

    def value(self, value: Any) -> Any:
        """Facts with all the names in them gone through."""
        if isinstance(value, str):
            return self.name(value)
        if isinstance(value, Mapping):
            return {self.name(str(k)): self.value(item) for k, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def _without_paths(self, text: str) -> str:
        return self._paths.sub(self._called, text) if "/" in text else text

    def _called(self, match: re.Match[str]) -> str:
        path = match[0]
        if path in self.names or path.startswith(SYSTEM):
            return self.names.get(path, path)
        if not self.rules.strict or _library(path):
            return place(path, self.rules)
        return PATH


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _any_of(words: list[str]) -> re.Pattern[str] | None:
    """Finds any of them as a whole word, the longest first."""
    if not words:
        return None
    ordered = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)")
