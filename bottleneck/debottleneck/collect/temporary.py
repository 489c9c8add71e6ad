"""Temporary folders named by the tool's process, so that those of dead ones go."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debottleneck.errors import UsageError

_NAME = re.compile(r"bottleneck-(?:[a-z]+-)?(\d+)-\w+")


@contextmanager
def folder(kind: str = "") -> Iterator[Path]:
    """A folder while the context lasts; what dead runs have left is swept before.

    Args:
        kind: Part of its name, in small letters.

    Raises:
        UsageError: There is no place for it.
    """
    prefix = f"bottleneck-{kind}{'-' if kind else ''}{os.getpid()}-"
    try:
        sweep()
        place = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    except OSError as error:
        raise UsageError(
            f"no temporary folder can be made ({error.strerror})",
            "name a place for it with the environment variable TMPDIR",
        ) from error
    with place as name:
        yield Path(name)


def sweep() -> None:
    """Remove this user's folders of processes that are gone."""
    for path in Path(tempfile.gettempdir()).glob("bottleneck-*"):
        match = _NAME.fullmatch(path.name)
        if match and _is_ours(path) and not _is_alive(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid() and not path.is_symlink()
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
