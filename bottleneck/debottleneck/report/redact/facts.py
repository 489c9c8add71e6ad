"""Facts without what should not leave the house: command, environment, options."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from debottleneck.recording.recording import Facts, NotMeasured, Planned
from debottleneck.report.redact.texts import ARGUMENTS, HOME, Redactor

PYTHON = "python"
"""What the interpreter is called."""

LEFT_OUT = NotMeasured("paths, arguments and source", "left out of this copy: --redact")

OPTIONS = (bool, int, float, type(None))
"""Options that are no text can give nothing away; nor can one in our own words."""

OUR_OPTIONS = ("strategies",)

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
    "collector_share",
)
"""Facts of the environment that may leave the house; others are left out."""


def path_of_script(facts: Facts) -> str:
    """Where the script was, or would be if it were no module."""
    return os.path.join(facts.directory, facts.script)


def people(paths: Iterable[str]) -> tuple[str, ...]:
    """Whose home folders are among these paths."""
    found = (re.match(r"/(?:home|Users)/([^/]+)/?", path) for path in paths)
    return tuple(sorted({match[1] for match in found if match}))


def folders(facts: Facts) -> dict[str, str]:
    """Folders and the interpreter, which are not among the files, and their names."""
    paths = {facts.directory, os.path.dirname(path_of_script(facts))} - {""}
    names = dict.fromkeys(paths, HOME)
    return {**names, str(facts.environment.get("interpreter", "")): PYTHON}


def redacted(facts: Facts, redactor: Redactor, files: Mapping[str, str]) -> Facts:
    """The facts in other words.

    Args:
        facts: As they were recorded.
        redactor: Changes texts.
        files: What each file is called.
    """
    script = facts.script
    if facts.command[:1] != ("-m",):
        script = files[path_of_script(facts)].removeprefix(f"{HOME}/")
    options = {
        name: value
        for name, value in facts.options.items()
        if isinstance(value, OPTIONS) or name in OUR_OPTIONS
    }
    gaps = (
        NotMeasured(*map(redactor.text, (gap.what, gap.why, gap.remedy)))
        for gap in facts.not_measured
    )
    return replace(
        facts,
        command=command(facts.command),
        script=script,
        directory=HOME,
        options=redactor.value(options),
        environment=environment(facts.environment, redactor),
        rates=redactor.value(dict(facts.rates)),
        partial_why=redactor.text(facts.partial_why),
        not_measured=(*gaps, LEFT_OUT),
        plans=tuple(_plan(plan, redactor, files) for plan in facts.plans),
    )


def _plan(plan: Planned, redactor: Redactor, files: Mapping[str, str]) -> Planned:
    """What a strategy would do; of the script's own words only functions' names."""
    file = files.get(plan["file"], HOME)
    return {**plan, "file": file, "reason": redactor.text(plan["reason"])}


def environment(facts: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Host, Python and libraries; of the interpreter no path."""
    kept = {name: value for name, value in facts.items() if name in ENVIRONMENT}
    interpreter = {"interpreter": PYTHON} if "interpreter" in kept else {}
    return {**redactor.value(kept), **interpreter}


def _lead(given: Sequence[str]) -> int:
    """How many words name the script: one, or `-m` and the module."""
    return 2 if given[:1] == ("-m",) else 1


def arguments(given: Sequence[str]) -> tuple[str, ...]:
    """The script's own, of its command line."""
    return tuple(word for word in given[_lead(given) :] if word != ARGUMENTS)


def command(given: Sequence[str]) -> tuple[str, ...]:
    """The command line: the script, and whether there were arguments."""
    script = tuple(PurePosixPath(word).name for word in given[: _lead(given)])
    return (*script, *(ARGUMENTS,) * (len(given) > _lead(given)))
