"""A recording or comparison without what should not leave the house.

The recording itself is changed and analysed again, so that whatever is derived from
it, on a page or in an export, is clean by construction.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.own import is_users_own
from debottleneck.recording.recording import Recording, empty, typed
from debottleneck.recording.spool import LOOP, STATEMENT
from debottleneck.report.redact import facts as facts_of
from debottleneck.report.redact.texts import HOME, PATH, Redactor, distinct, place
from debottleneck.trials.result import Comparison, Trial
from debottleneck.trials.sides import Sides

NAMES = ("name", "function")
"""Columns with names from the user's program."""

THREADS = (("threads", "name"), ("functions", "thread"))
"""Table and column with threads' names: texts, often of whom or what they serve."""

WAITS = frozenset(
    {
        "",
        "(more)",
        "closed descriptor",
        "eventfd",
        "eventpoll",
        "inotify",
        "local socket",
        "netlink socket",
        "network socket",
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
    facts, files = recording.facts, files_of(recording, place)
    waited = {what: _kind(what) for what in recording.details.what if what not in WAITS}
    names = {**waited, **facts_of.folders(facts), **files}
    people = facts_of.people((facts.directory, *files))
    redactor = Redactor(names, (*facts_of.arguments(facts.command), *people))
    changes: dict[str, Callable[[str], str]] = {
        **dict.fromkeys(NAMES, redactor.name),
        "file": files.__getitem__,
    }
    tables = {name: changed(recording, name, changes) for name in COLUMNS}
    for name, column in THREADS:
        tables[name] = changed(recording, name, {**changes, column: redactor.text})
    written = tables["sites"]["kind"].isin((LOOP, STATEMENT))
    tables["sites"]["name"] = tables["sites"]["name"].mask(written, "")
    tables["sources"] = empty("sources")
    tables["details"], tables["waits"] = _details(recording)
    return Recording.of(facts_of.redacted(facts, redactor, files), tables)


def files_of(recording: Recording, place: Callable[[str, bool], str]) -> dict[str, str]:
    """Every file of the recording, the script first -> what it is called.

    Args:
        recording: A recording.
        place: What a file is called, by its path and whether it is the user's own.
    """
    files = [facts_of.path_of_script(recording.facts)]
    for name, columns in COLUMNS.items():
        if "file" in columns:
            files += getattr(recording, name)["file"].unique().tolist()
    return distinct((file, place(file, is_users_own(file))) for file in files)


def changed(
    recording: Recording, name: str, changes: Mapping[str, Callable[[str], str]]
) -> pd.DataFrame:
    """One of its tables with the texts of some columns changed."""
    table: pd.DataFrame = getattr(recording, name)
    columns = {
        column: table[column].map({t: change(t) for t in table[column].unique()})
        for column, change in changes.items()
        if column in table
    }
    return typed(name, table.assign(**columns)) if columns else table


def _details(recording: Recording) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What waits were on by its kind, each kind once, and the waits numbered anew."""
    table = recording.details
    kinds = list(zip(table.syscall, map(_kind, table.what), strict=True))
    number = {kind: at for at, kind in enumerate(dict.fromkeys([("", ""), *kinds]))}
    rows = [(at, *kind) for kind, at in number.items()]
    details = pd.DataFrame(rows, columns=list(COLUMNS["details"]))
    new = {d: number[kind] for d, kind in zip(table.detail, kinds, strict=True)}
    waits = recording.waits.assign(detail=recording.waits.detail.map(new).fillna(0))
    return typed("details", details), typed("waits", waits)


def _kind(what: str) -> str:
    if what in WAITS:
        return what
    if what.startswith("/"):
        return "a device" if what.startswith("/dev/") else "a file"
    return "a peer" if ":" in what else "something else"


def comparison(comparison: Comparison) -> Comparison:
    """The comparison without paths, arguments and what the script printed.

    Its recordings are not named any more: read its sides beforehand.
    """
    redactor, runs = _redactor_of(comparison), _runs(comparison)
    return replace(
        comparison,
        best=runs.get(comparison.best, comparison.best),
        baseline=runs.get(comparison.baseline, comparison.baseline),
        command=facts_of.command(comparison.command),
        trials=tuple(_trial(trial, redactor, runs) for trial in comparison.trials),
        keep=(),  # the user's own lines
        run=_run(comparison),
        notes=tuple(map(redactor.text, comparison.notes)),
        environment=facts_of.environment(comparison.environment, redactor),
        folder=None,
        before=None,
        after=None,
    )


def sides(shown: Sides, comparison: Comparison) -> Sides:
    """What was read of a comparison's redacted recordings, its texts redacted too."""
    redactor, runs = _redactor_of(comparison), _runs(comparison)
    trials = shown.measured.trials
    texts = {"failure": "", "notes": "", "spec": trials.spec.replace(runs)}
    return replace(
        shown,
        sides=tuple(replace(s, label=runs.get(s.label, s.label)) for s in shown.sides),
        gaps=tuple(map(redactor.text, shown.gaps)),
        measured=replace(shown.measured, trials=trials.assign(**texts)),
    )


def _redactor_of(comparison: Comparison) -> Redactor:
    """For the texts of a comparison, whose recordings are elsewhere."""
    script = next(iter(comparison.command), "")
    paths = (comparison.folder, comparison.before, comparison.after)
    folders = [os.path.dirname(script), *(str(path) for path in paths if path)]
    names = {**dict.fromkeys(folders, HOME), script: place(script)}
    interpreter = str(comparison.environment.get("interpreter", ""))
    names |= {**_runs(comparison), interpreter: facts_of.PYTHON}
    return Redactor(names, facts_of.arguments(comparison.command))


def _runs(comparison: Comparison) -> dict[str, str]:
    """Recordings compared -> what they are called, where that is another name.

    The name of one may be a path, when that is what tells it from the others.
    """
    if not comparison.recorded:
        return {}
    runs = (comparison.baseline, *(trial.spec for trial in comparison.trials))
    return {run: f"recording {at}" for at, run in enumerate(runs, 1) if "/" in run}


def _trial(trial: Trial, redactor: Redactor, runs: Mapping[str, str]) -> Trial:
    return replace(
        trial,
        strategy=runs.get(trial.strategy, trial.strategy),
        spec=runs.get(trial.spec, trial.spec),
        why=redactor.text(trial.why),
        did=tuple(map(redactor.text, trial.did)),
    )


def _run(comparison: Comparison) -> str:
    """The command that applies the winner."""
    if not comparison.run:
        return ""
    lead = ["bottleneck", "run", "--strategy", comparison.best]
    try:
        given = shlex.split(comparison.run)
    except ValueError:
        given = []
    end = len(given) - len(comparison.command)
    if tuple(given[end:]) == comparison.command:
        lead = given[:end]
    pairs = zip(["", *lead], lead, strict=False)
    kept = [PATH if before == "--include" else word for before, word in pairs]
    return " ".join((shlex.join(kept), *facts_of.command(comparison.command)))
