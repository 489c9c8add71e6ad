"""A recording or comparison without what should not leave the house, or the machine.

The recording itself is changed and analysed again, so that whatever is derived from
it, on a page or in an export, is clean by construction.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from debottleneck.analysis.code import is_user_file, user_folders
from debottleneck.recording.recording import COLUMNS, Recording, empty, typed
from debottleneck.report.redact import facts as facts_of
from debottleneck.report.redact.texts import HOME, PATH, Rules, Words, distinct, place
from debottleneck.trials.result import Comparison, Trial
from debottleneck.trials.sides import Evidence

NAMES = ("name", "thread", "function")
"""Columns with names from the user's program."""

WAITS = frozenset(
    {
        "",
        "(more)",
        "closed descriptor",
        "eventfd",
        "eventpoll",
        "inotify",
        "local socket",
        "pipe",
        "signalfd",
        "timeout",
        "timeout of an event loop",
        "timerfd",
        "unknown socket",
    }
)
"""What a wait was on, where that is a word of ours and no name."""


def recording(recording: Recording) -> Recording:
    """The recording without paths, arguments, peers and source lines.

    The user's own files keep their names, libraries what follows site-packages, so
    that an analysis finds the same stages, causes and findings.
    """
    return _recording(recording, Rules())


def comparison(comparison: Comparison) -> Comparison:
    """The comparison without paths, arguments and what the script printed.

    Its recordings are not named any more: read the evidence beforehand.
    """
    return _comparison(comparison, Rules())


def evidence(shown: Evidence, comparison: Comparison) -> Evidence:
    """What was read of a comparison's redacted recordings, its texts redacted too."""
    words, runs = _words_of(comparison, Rules()), _runs(comparison, Rules())
    trials = shown.measured.trials
    told = {"failure": "", "notes": "", "spec": trials.spec.replace(runs)}
    sides = (replace(s, label=runs.get(s.label, s.label)) for s in shown.sides)
    return replace(
        shown,
        sides=tuple(sides),
        gaps=tuple(map(words.text, shown.gaps)),
        measured=replace(shown.measured, trials=trials.assign(**told)),
    )


def portable(recording: Recording, roots: Sequence[str]) -> Recording:
    """The recording as it would be from any machine; only machine paths change.

    Args:
        recording: A recording whose script lies in a folder below one of the roots.
        roots: Folders, such as a repository's, whose own part of a path goes.
    """
    return _recording(recording, Rules(strict=False, roots=tuple(roots)))


def portable_comparison(comparison: Comparison, roots: Sequence[str]) -> Comparison:
    """The comparison as it would be from any machine; see `portable`."""
    return _comparison(comparison, Rules(strict=False, roots=tuple(roots)))


def _recording(found: Recording, rules: Rules) -> Recording:
    facts = found.facts
    files = _files(found, rules)
    waited = _waited_on(found) if rules.strict else {}
    names = {**waited, **facts_of.folders(facts, rules), **files}
    words = Words(rules, names, facts_of.arguments(facts.command))
    tables = {name: _table(found, name, files, words) for name in COLUMNS}
    if rules.strict:
        tables["sources"] = empty("sources")
        tables["details"], tables["waits"] = _details(found)
    return Recording.of(facts_of.facts(facts, rules, words, files), tables)


def _files(found: Recording, rules: Rules) -> dict[str, str]:
    """Every file of the recording, the script first -> what it is called."""
    folders = user_folders(found)
    tables = [
        getattr(found, name) for name, known in COLUMNS.items() if "file" in known
    ]
    files = [
        facts_of.path_of_script(found.facts),
        *(f for t in tables for f in t["file"].unique()),
    ]
    own = partial(is_user_file, folders=folders)
    return distinct((file, place(file, rules, own(file))) for file in files)


def _waited_on(found: Recording) -> dict[str, str]:
    """Files and peers by their kind."""
    return {what: _kind(what) for what in found.details.what if what not in WAITS}


def _table(
    found: Recording, name: str, files: Mapping[str, str], words: Words
) -> pd.DataFrame:
    table: pd.DataFrame = getattr(found, name)
    changes: dict[str, Callable[[str], str]] = {
        **dict.fromkeys(NAMES, words.name),
        "file": lambda file: files[file],
        "what": lambda what: place(what, words.rules),
    }
    new = {c: _each(table[c], changes[c]) for c in table.columns if c in changes}
    return typed(name, table.assign(**new)) if new else table


def _each(column: pd.Series, change: Callable[[str], str]) -> pd.Series:
    return column.map({text: change(text) for text in column.unique()})


def _details(found: Recording) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What waits were on by its kind, each kind once, and the waits numbered anew."""
    table = found.details
    kinds = list(zip(table.syscall, map(_kind, table.what), strict=True))
    kinds[0:0] = [("", "")]
    number = {kind: index for index, kind in enumerate(dict.fromkeys(kinds))}
    rows = [(index, *kind) for kind, index in number.items()]
    details = pd.DataFrame(rows, columns=list(COLUMNS["details"]))
    new = {d: number[k] for d, k in zip(table.detail, kinds[1:], strict=True)}
    waits = found.waits.assign(detail=found.waits.detail.map(new).fillna(0))
    return typed("details", details), typed("waits", waits)


def _kind(what: str) -> str:
    if what in WAITS:
        return what
    if what.startswith("/dev/"):
        return "a device"
    if what.startswith("/"):
        return "a file"
    return "a peer" if ":" in what else "something else"


def _words_of(found: Comparison, rules: Rules) -> Words:
    """For the texts of a comparison, whose recordings are elsewhere."""
    script = next(iter(found.command), "")
    folders = [os.path.dirname(script), *rules.roots]
    folders += [str(p) for p in (found.folder, found.before, found.after) if p]
    names = {f: HOME if rules.strict else place(f, rules) for f in folders}
    names |= {script: place(script, rules), **_runs(found, rules)}
    names[str(found.environment.get("interpreter", ""))] = facts_of.PYTHON
    return Words(rules, names, facts_of.arguments(found.command))


def _runs(found: Comparison, rules: Rules) -> dict[str, str]:
    """Recordings compared -> what they are called, where that is another name.

    The name of one may be a path, when that is what tells it from the others.
    """
    if not (rules.strict and found.recorded):
        return {}
    names = enumerate((found.baseline, *(trial.spec for trial in found.trials)), 1)
    return {name: f"recording {number}" for number, name in names if "/" in name}


def _comparison(found: Comparison, rules: Rules) -> Comparison:
    words, runs = _words_of(found, rules), _runs(found, rules)
    return replace(
        found,
        best=runs.get(found.best, found.best),
        baseline=runs.get(found.baseline, found.baseline),
        command=facts_of.command(found.command, words),
        trials=tuple(_trial(trial, words, runs) for trial in found.trials),
        keep=tuple(map(words.name, found.keep)),
        run=_run(found, words),
        notes=tuple(map(words.text, found.notes)),
        environment=facts_of.environment(found.environment, words),
        folder=None,
        before=_named(found.before, rules),
        after=_named(found.after, rules),
    )


def _named(folder: Path | None, rules: Rules) -> Path | None:
    return None if rules.strict or folder is None else Path(folder.name)


def _trial(trial: Trial, words: Words, runs: Mapping[str, str]) -> Trial:
    return replace(
        trial,
        strategy=runs.get(trial.strategy, trial.strategy),
        spec=runs.get(trial.spec, trial.spec),
        why=words.text(trial.why),
        did=tuple(map(words.text, trial.did)),
    )


def _run(found: Comparison, words: Words) -> str:
    """The command that applies the winner."""
    if not words.rules.strict or not found.run:
        return words.text(found.run)
    given = _split(found.run)
    end = len(given) - len(found.command)
    lead = ["bottleneck", "run", "--strategy", found.best]
    if tuple(given[end:]) == found.command:
        lead = given[:end]
    before = ["", *lead]
    kept = [PATH if before[i] == "--include" else w for i, w in enumerate(lead)]
    return " ".join((shlex.join(kept), *facts_of.command(found.command, words)))


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []
