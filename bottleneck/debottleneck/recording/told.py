"""What processes told of PyTorch's DataLoaders and of items that took long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from debottleneck.recording import spool
from debottleneck.recording.assemble import events, told
from debottleneck.recording.recording import Loader, SlowItem


def loaders(raw: Path, pid: int) -> tuple[Loader, ...]:
    """What a process told of its DataLoaders, with the ends of their workers."""
    ended = told(raw, pid, spool.LOADER_ENDED)
    ends = {worker: event["t_ns"] for event in ended for worker in event["pids"]}
    begun: tuple[Loader, ...] = told(raw, pid, spool.LOADER)
    return tuple(
        {**one, "end_ns": max((ends.get(p, 0) for p in one["pids"]), default=0)}
        for one in begun
    )


def slow_items(raw: Path) -> tuple[SlowItem, ...]:
    """What workers told of items that took them long."""
    items: Any = (item for _, item in events(raw, spool.SLOW_ITEM))
    return tuple(items)
