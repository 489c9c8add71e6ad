"""The end that the tool makes of a script: `--stop`, or a trial's last step."""

from __future__ import annotations

from typing import NoReturn

_ending: list[bool] = []


def end_script() -> NoReturn:
    """End it where it is: what strategies do then is no fault of theirs.

    Raises:
        SystemExit: Always.
    """
    _ending.append(True)
    raise SystemExit(0)


def is_ending() -> bool:
    """Whether the tool ends the script."""
    return bool(_ending)
