"""Files and texts by names that give away nothing of the house they are from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from debottleneck.recording.own import OURS
from debottleneck.report.words.quantities import LIBRARY_MARKS

HOME = "redacted"
"""Folder that the user's own files are put in, so that they are known as such."""

ARGUMENTS = "(arguments left out)"
ARGUMENT, ADDRESS, PATH = "(an argument)", "(an address)", "(a path)"

LIBRARY = "site-packages"

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


def place(file: str, own: bool = False) -> str:
    """What a file is called."""
    if "/" not in file or file.startswith("<"):
        return file
    name = PurePosixPath(file).name
    if own:
        return f"{HOME}/{name}"
    return library(file) or name


def library(file: str) -> str | None:
    """The file below the libraries' folder, whatever is above; None if it is none."""
    if ours := OURS.search(file):
        return LIBRARY + file[ours.start() :]
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
    names: dict[str, str] = {}
    taken: set[str] = set()
    for file, wanted in dict(files).items():
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted} ({number})"
        taken.add(name)
        names[file] = name
    return names


def paths(names: Iterable[str]) -> re.Pattern[str]:
    """Finds these paths, though they do not look like one (spaces), and what does."""
    odd = [n for n in names if len(n) > 1 and not re.fullmatch(_ANY_PATH, n)]
    odd = sorted((n for n in odd if "/" in n), key=len, reverse=True)
    patterns = (rf"(?<![\w.~/-]){re.escape(n)}(?:/{_PART})*(?![\w-])" for n in odd)
    return re.compile("|".join([*patterns, _ANY_PATH]))


@dataclass(frozen=True)
class Redactor:
    """Takes paths, addresses and arguments out of texts.

    Attributes:
        names: Path -> what it is called: files and folders that are known.
        arguments: The script's arguments.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        return paths(self.names)

    @cached_property
    def _parts(self) -> set[str]:
        """Arguments, and what stands before and after the sign in `--name=value`."""
        return {part for a in self.arguments for part in (a, *a.split("=", 1))}

    @cached_property
    def _arguments(self) -> re.Pattern[str] | None:
        return _any_of(p for p in self._parts if len(p) >= SHORTEST and not _number(p))

    @cached_property
    def _odd(self) -> re.Pattern[str] | None:
        """Arguments that are no plain words: these may stand in no name either."""
        return _any_of(p for p in self._parts if re.search(r"[^\w-]", p) and len(p) > 1)

    def name(self, text: str) -> str:
        """A name of a thread or function, or a line of code."""
        text = self._odd.sub(ARGUMENT, text) if self._odd else text
        text = self._paths.sub(self._called, _ADDRESS.sub(ADDRESS, text))
        return _AFTER_PATH.sub(PATH, text)

    def text(self, text: str) -> str:
        """A sentence, without what the script itself said."""
        text = self.name(_OUTPUT.sub("", text))
        return self._arguments.sub(ARGUMENT, text) if self._arguments else text

    def value(self, value: Any) -> Any:
        """Facts with all the names in them gone through."""
        if isinstance(value, str):
            return self.name(value)
        if isinstance(value, Mapping):
            return {self.name(str(k)): self.value(item) for k, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def _called(self, match: re.Match[str]) -> str:
        path = match[0]
        if path in self.names or path.startswith(SYSTEM):
            return self.names.get(path, path)
        return library(path) or PATH


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _any_of(words: Iterable[str]) -> re.Pattern[str] | None:
    """Finds any of them as a whole word, the longest first."""
    ordered = sorted(words, key=len, reverse=True)
    if not ordered:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)")
