"""Cores that this process may use; standard library, as scripts ask it too."""

from __future__ import annotations

import os
from pathlib import Path

THREAD_VARIABLES = tuple(
    f"{library}_NUM_THREADS"
    for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR")
)
"""Of the environment: how many threads libraries begin."""

ROOT = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))


def cpu_quota() -> float | None:
    """Cores that the control groups grant, None without a limit or a cgroup."""
    return min(filter(None, map(granted, cpu_groups("self"))), default=None)


def cpu_groups(pid: int | str, root: Path = ROOT) -> list[Path]:
    """Folders of the control groups that may limit a process's CPU time, as they nest.

    In a container the paths are often the host's: what is not there is passed over.

    Args:
        pid: The process.
        root: Where control groups are mounted, version 2 or 1.
    """
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    folders: dict[Path, None] = {}
    for line in text.splitlines():
        number, kinds, path = (*line.split(":", 2), "", "")[:3]
        if number != "0" and "cpu" not in kinds.split(","):
            continue
        top = root if number == "0" else root / kinds
        own = top / path.strip("/")
        folders |= dict.fromkeys((own, *(p for p in own.parents if top in p.parents)))
        folders[top] = None
    return [folder for folder in folders if (folder / "cpu.stat").is_file()]


def granted(group: Path) -> float | None:
    """Cores that one group grants, None without a limit."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
            quota, period = ((group / name).read_text() for name in names)
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max", too
        return None


def throttled_ns(group: Path) -> int:
    """How long a group's quota has stopped it so far, added up over cores."""
    try:
        lines = (group / "cpu.stat").read_text().splitlines()
        told = dict(line.split() for line in lines)
        micro, nano = told.get("throttled_usec", "0"), told.get("throttled_time", "0")
        return int(micro) * 1000 + int(nano)
    except (OSError, ValueError):
        return 0
