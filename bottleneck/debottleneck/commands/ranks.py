"""What a distributed run's ranks show together, as `profile` and `report` print it."""

from __future__ import annotations

from pathlib import Path


def report_ranks(folder: Path, copies: list[tuple[str, Path]]) -> None:
    """Print the picture of all ranks, and write its page."""
    print("RANKS", folder)
