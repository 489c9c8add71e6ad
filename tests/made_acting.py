"""What strategies note, to be read by a test."""

from __future__ import annotations

import json
from pathlib import Path

from debottleneck.strategies.rewriting.notes import Notes


class Noted:
    """What strategies note, to be read by a test.

    Args:
        folder: For the file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notes.jsonl"
        self.notes = Notes(self.path)

    def said(self, state: str) -> list[str]:
        """The sentences of one kind."""
        if not self.path.exists():
            return []
        lines = map(json.loads, self.path.read_text(encoding="utf-8").splitlines())
        return [line["text"] for line in lines if line["state"] == state]
