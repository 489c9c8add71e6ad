"""Facts without what should not leave the house: command, environment, options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from debottleneck.recording.recording import Facts, NotMeasured
from debottleneck.report.redact.texts import ARGUMENTS, HOME, Rules, Words, below, place

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
)
"""Facts of the environment that may leave the house; others are left out."""


def path_of_script(known: Facts) -> str:
    """Where the script was, or would be if it were no module."""
    return os.path.join(known.directory, known.script)


def folders(known: Facts, rules: Rules) -> dict[str, str]:
    """Folders and the interpreter, which are not among the files, and their names."""
    paths = {known.directory, os.path.dirname(path_of_script(known)), *rules.roots}
    names = {f: HOME if rules.strict else place(f, rules) for f in paths if f}
    return {**names, str(known.environment.get("interpreter", "")): PYTHON}


def facts(known: Facts, rules: Rules, words: Words, files: Mapping[str, str]) -> Facts:
    """The facts in other words.

    Args:
        known: As they were recorded.
        rules: What may stay.
        words: Changes texts.
        files: What each file is called.
    """
    gaps = tuple(_gap(gap, words) for gap in known.not_measured)
    directory, script = _places(known, rules, files)
    return replace(
        known,
        command=command(known.command, words),
        script=script,
        directory=directory,
        options=_options(known.options, words),
        environment=environment(known.environment, words),
        rates=words.value(dict(known.rates)),
        partial_why=words.text(known.partial_why),
        not_measured=(*gaps, LEFT_OUT) if rules.strict else gaps,
    )


def _places(known: Facts, rules: Rules, files: Mapping[str, str]) -> tuple[str, str]:
    """Directory and script; together they lead to the script's own name."""
    away = HOME if rules.strict else ""
    if known.command[:1] == ("-m",):
        return below(known.directory, rules) or away, known.script
    return away, files[path_of_script(known)].removeprefix(f"{HOME}/")


def _options(options: Mapping[str, Any], words: Words) -> dict[str, Any]:
    kept = {
        name: value
        for name, value in options.items()
        if not words.rules.strict or isinstance(value, OPTIONS) or name in OUR_OPTIONS
    }
    told: dict[str, Any] = words.value(kept)
    return told


def environment(known: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Host, Python and libraries; of the interpreter no path."""
    strict = words.rules.strict
    kept = {k: v for k, v in known.items() if not strict or k in ENVIRONMENT}
    interpreter = {"interpreter": PYTHON} if "interpreter" in kept else {}
    return {**words.value(kept), **interpreter}


def _gap(gap: NotMeasured, words: Words) -> NotMeasured:
    return NotMeasured(*map(words.text, (gap.what, gap.why, gap.remedy)))


def _lead(given: Sequence[str]) -> int:
    """How many words name the script: one, or `-m` and the module."""
    return 2 if given[:1] == ("-m",) else 1


def arguments(given: Sequence[str]) -> tuple[str, ...]:
    """The script's own, of its command line."""
    return tuple(word for word in given[_lead(given) :] if word != ARGUMENTS)


def command(given: tuple[str, ...], words: Words) -> tuple[str, ...]:
    """The command line; in the strict form it says that there were arguments."""
    if not words.rules.strict:
        return tuple(map(words.text, given))
    script = tuple(PurePosixPath(word).name for word in given[: _lead(given)])
    return (*script, *(ARGUMENTS,) * (len(given) > _lead(given)))
