"""Recordings and comparisons as from any machine: nothing but its own paths changes.

What lies below given folders, such as the repository, is named from there on, what
lies in a library from site-packages on, and anything else by its name alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.recording import Recording
from debottleneck.report.redact import (
    NAMES,
    PYTHON,
    changed,
    files_of,
    path_of_script,
)
from debottleneck.report.redacted_texts import SYSTEM, library, paths
from debottleneck.trials.result import Comparison


@dataclass(frozen=True)
class Places:
    """Paths by names that are the same on every machine.

    Attributes:
        roots: Folders whose own part of a path goes.
        names: Path -> what it is called: files and folders that are known.
    """

    roots: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        return paths([*self.names, *self.roots])

    def place(self, path: str, own: bool = False) -> str:
        """What a path is called, the user's own like any other."""
        if not path.startswith("/"):
            return path
        return library(path) or self.below(path) or PurePosixPath(path).name

    def below(self, path: str) -> str:
        """The path below one of the roots, "" outside of them."""
        for root in sorted(self.roots, key=len, reverse=True):
            if PurePosixPath(path).is_relative_to(root):
                return str(PurePosixPath(path).relative_to(root))
        return ""

    def text(self, text: str) -> str:
        """A text with all paths in it by their names."""
        return self._paths.sub(lambda match: self._called(match[0]), text)

    def _called(self, path: str) -> str:
        if path in self.names or path.startswith(SYSTEM):
            return self.names.get(path, path)
        return self.place(path)

    def value(self, value: Any) -> Any:
        """The same with all texts in it gone through."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(v) for key, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(self.value, value))
        if is_dataclass(value) and not isinstance(value, type):
            names = [one.name for one in fields(value)]
            return replace(value, **{n: self.value(getattr(value, n)) for n in names})
        return value

    def knowing(self, folders: Iterable[str], environment: Mapping[str, Any]) -> Places:
        """The same that also knows these folders and the interpreter."""
        names = {folder: self.place(folder) for folder in folders if folder}
        names[str(environment.get("interpreter", ""))] = PYTHON
        return replace(self, names={**self.names, **names})


def recording(recording: Recording, roots: tuple[str, ...]) -> Recording:
    """The recording as it would be from any machine.

    Args:
        recording: A recording whose script lies in a folder below one of the roots.
        roots: Folders, such as a repository's, whose own part of a path goes.
    """
    facts, script = recording.facts, path_of_script(recording.facts)
    files = files_of(recording, Places(roots).place)
    folders = (facts.directory, os.path.dirname(script))
    places = Places(roots, files).knowing(folders, facts.environment)
    changes = {
        **dict.fromkeys(NAMES, places.text),
        "file": files.__getitem__,
        "what": places.place,
    }
    tables = {name: changed(recording, name, changes) for name in COLUMNS}
    new = {"script": files[script], "directory": ""}
    if facts.command[:1] == ("-m",):
        new = {"script": facts.script, "directory": places.below(facts.directory)}
    return Recording.of(replace(places.value(facts), **new), tables)


def comparison(comparison: Comparison, roots: tuple[str, ...]) -> Comparison:
    """The comparison as it would be from any machine; see `recording`."""
    script = next(iter(comparison.command), "")
    kept = comparison.before, comparison.after
    folders = (os.path.dirname(script), comparison.folder, *kept)
    texts = (str(folder) for folder in folders if folder)
    places = Places(roots, {script: Places(roots).place(script)})
    known = places.knowing(texts, comparison.environment)
    changed: Comparison = known.value(comparison)
    before, after = (path and Path(path.name) for path in kept)
    return replace(changed, folder=None, before=before, after=after)


def trials(table: pd.DataFrame, roots: tuple[str, ...]) -> pd.DataFrame:
    """A table of trials without this machine's folders in its texts."""
    texts = [column for column in ("failure", "notes") if column in table]
    return table.assign(**{name: table[name].map(Places(roots).text) for name in texts})
