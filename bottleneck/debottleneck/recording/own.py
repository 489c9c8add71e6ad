"""Which files are the user's own: neither a library's, nor Python's, nor ours."""

from __future__ import annotations

import re

OURS = re.compile(r"[/\\]debottleneck[/\\](agent|collect|strategies)[/\\]")
"""Our code in the script's process is known by this part of its path."""

_FOREIGN = re.compile(
    r"(^|[/\\])(site-packages|dist-packages|lib(64)?[/\\](python|pypy)\d[^/\\]*)[/\\]"
    rf"|{OURS.pattern}"
    r"|^<|\.(pyx|pxd|pxi)$"
)


def is_users_own(file: str) -> bool:
    """Whether code of this file was written by the user, by where it was imported from.

    Args:
        file: As code objects name it; "" is nobody's.
    """
    return bool(file) and not _FOREIGN.search(file)
