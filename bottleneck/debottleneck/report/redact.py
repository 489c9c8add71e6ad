"""A recording or comparison without what should not leave the house.

The recording itself is changed and analysed again, so that whatever is derived from
it, on a page or in an export, is clean by construction.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.own import is_users_own
from debottleneck.recording.ranks import Rank
from debottleneck.recording.recording import (
    Facts,
    NotMeasured,
    Recording,
    empty,
    typed,
)
from debottleneck.recording.spool import LOOP, STATEMENT
from debottleneck.report.redacted_texts import (
    ARGUMENTS,
    HOME,
    Redactor,
    distinct,
    place,
)
from debottleneck.trials.result import Comparison, Trial
from debottleneck.trials.sides import Sides

PYTHON = "python"
"""What the interpreter is called."""

LEFT_OUT = NotMeasured("paths, arguments and source", "left out of this copy: --redact")

NAMES = ("name", "function")
"""Columns with names from the user's program."""

THREADS = (("threads", "name"), ("functions", "thread"))
"""Table and column with threads' names: texts, often of whom or what they serve."""

KINDS = (
    (
        r"|\(more\)|closed descriptor|eventfd|eventpoll|inotify|pipe|signalfd|"
        r"timerfd|lock|RLock",
        "",
    ),
    (r"(local|netlink|network|unknown) socket|timeout( of an event loop)?", ""),
    (r"/dev/.*", "a device"),
    (r"/.*", "a file"),
    (r".*:.*", "a peer"),
    (r".*", "something else"),
)
"""What a wait was on, and what that is called; "" for a word of ours and no name."""

OPTIONS = ("warmup", "rate", "strategies")
ENVIRONMENT = (
    "debottleneck",
    "system",
    "machine",
    "processor",
    "cores",
    "cpu_quota",
    "memory_gib",
    "python",
    "interpreter",
    "thread_variables",
    "packages",
    "thread_pools",
    "foreign_load",
)
"""Facts that may leave the house; others are left out."""


def recording(recording: Recording) -> Recording:
    """The recording without paths, arguments, peers and source lines.

    The user's own files keep their names, libraries what follows site-packages, so
    that an analysis finds the same stages, causes and findings.
    """
    facts, files = recording.facts, files_of(recording, place)
    waited = {what: _kind(what) for what in recording.details.what}
    folders = {facts.directory, os.path.dirname(path_of_script(facts))} - {""}
    names = {what: kind for what, kind in waited.items() if what != kind}
    names |= {**dict.fromkeys(folders, HOME), **files}
    names[str(facts.environment.get("interpreter", ""))] = PYTHON
    homes = (re.match(r"/(?:home|Users)/([^/]+)/?", p) for p in (*folders, *files))
    people = sorted({home[1] for home in homes if home})
    redactor = Redactor(names, (*_arguments(facts.command), *people))
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
    tables["details"], tables["waits"], new = _details(recording)
    holders = tables["holders"]
    tables["holders"] = holders.assign(detail=holders.detail.map(new)).dropna()
    return Recording.of(_facts(facts, redactor, files), tables)


def path_of_script(facts: Facts) -> str:
    """Where the script was, or would be if it were no module."""
    return os.path.join(facts.directory, facts.script)


def files_of(recording: Recording, place: Callable[[str, bool], str]) -> dict[str, str]:
    """Every file of the recording, the script first -> what it is called.

    Args:
        recording: A recording.
        place: What a file is called, by its path and whether it is the user's own.
    """
    files = [path_of_script(recording.facts)]
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


def _facts(facts: Facts, redactor: Redactor, files: Mapping[str, str]) -> Facts:
    """The facts in other words; `files` is what each file is called."""
    script = facts.script
    if facts.command[:1] != ("-m",):
        script = files[path_of_script(facts)].removeprefix(f"{HOME}/")
    gaps = (
        NotMeasured(*map(redactor.text, (gap.what, gap.why, gap.remedy)))
        for gap in facts.not_measured
    )
    plans = (
        {
            **plan,
            "file": files.get(plan["file"], HOME),
            "reason": redactor.text(plan["reason"]),
            "edit": redactor.text(plan["edit"]),
        }
        for plan in facts.plans
    )
    options = {name: v for name, v in facts.options.items() if name in OPTIONS}
    return replace(
        facts,
        command=_command(facts.command),
        script=script,
        directory=HOME,
        options=redactor.value(options),
        environment=_environment(facts.environment, redactor),
        rates=redactor.value(dict(facts.rates)),
        partial_why=redactor.text(facts.partial_why),
        beginning=tuple(
            (redactor.name(file), n, "", ms) for file, n, _, ms in facts.beginning
        ),
        not_measured=(*gaps, LEFT_OUT),
        plans=tuple(plans),  # type: ignore[arg-type] # a changed TypedDict is a dict
        ranks=tuple(map(_anywhere, facts.ranks)),
    )


def _anywhere(rank: Rank) -> Rank:
    """A rank on no machine that could be known, yet on the same as others there."""
    boot = hashlib.sha256(rank["boot"].encode()).hexdigest()[:8]
    return {**rank, "host": "", "boot": boot}


def _environment(facts: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Host, Python and libraries; of the interpreter no path."""
    kept = {name: value for name, value in facts.items() if name in ENVIRONMENT}
    interpreter = {"interpreter": PYTHON} if "interpreter" in kept else {}
    return {**redactor.value(kept), **interpreter}


def _arguments(given: Sequence[str]) -> tuple[str, ...]:
    """The script's own, of its command line: what follows it, or `-m` and its name."""
    lead = 2 if given[:1] == ("-m",) else 1
    return tuple(word for word in given[lead:] if word != ARGUMENTS)


def _command(given: Sequence[str]) -> tuple[str, ...]:
    """The command line: the script, and whether there were arguments."""
    lead = 2 if given[:1] == ("-m",) else 1
    script = tuple(PurePosixPath(word).name for word in given[:lead])
    return (*script, *(ARGUMENTS,) * (len(given) > lead))


def _kind(what: str) -> str:
    kinds = (kind or what for form, kind in KINDS if re.fullmatch(form, what, re.S))
    return next(kinds)


def _details(
    recording: Recording,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[int, int]]:
    """What waits were on by its kind, each kind once, the waits, and what is where."""
    table = recording.details
    held = table.detail.where(table.detail.isin(recording.holders.detail), 0)
    kinds = list(zip(table.syscall, map(_kind, table.what), held, strict=True))
    number = {kind: at for at, kind in enumerate(dict.fromkeys([("", "", 0), *kinds]))}
    rows = [(at, *kind[:2]) for kind, at in number.items()]
    details = pd.DataFrame(rows, columns=list(COLUMNS["details"]))
    new = {d: number[kind] for d, kind in zip(table.detail, kinds, strict=True)}
    waits = recording.waits.assign(detail=recording.waits.detail.map(new).fillna(0))
    return typed("details", details), typed("waits", waits), new


def comparison(comparison: Comparison) -> Comparison:
    """The comparison without paths, arguments and what the script printed.

    Its recordings are not named any more: read its sides beforehand.
    """
    redactor, runs = _redactor_of(comparison), _runs(comparison)
    command, best = _command(comparison.command), comparison.best
    lead = ("bottleneck", "run", "--strategy", best) if comparison.run else ()

    def trial(one: Trial) -> Trial:
        return replace(
            one,
            strategy=runs.get(one.strategy, one.strategy),
            spec=runs.get(one.spec, one.spec),
            why=redactor.text(one.why),
            did=tuple(map(redactor.text, one.did)),
        )

    return replace(
        comparison,
        best=runs.get(best, best),
        baseline=runs.get(comparison.baseline, comparison.baseline),
        command=command,
        trials=tuple(map(trial, comparison.trials)),
        keep=(),  # the user's own lines
        run=" ".join((*lead, *command)) if lead else "",
        notes=tuple(map(redactor.text, comparison.notes)),
        environment=_environment(comparison.environment, redactor),
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
    names |= {**_runs(comparison), interpreter: PYTHON}
    return Redactor(names, _arguments(comparison.command))


def _runs(comparison: Comparison) -> dict[str, str]:
    """Recordings compared -> what they are called, where that is another name.

    The name of one may be a path, when that is what tells it from the others.
    """
    if not comparison.recorded:
        return {}
    runs = (comparison.baseline, *(trial.spec for trial in comparison.trials))
    return {run: f"recording {at}" for at, run in enumerate(runs, 1) if "/" in run}
