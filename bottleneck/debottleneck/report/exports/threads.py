"""Threads as the exported formats name them."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.roles import roles_of
from debottleneck.report.words.quantities import clean

Key = tuple[int, int]
"""A thread: its process and its number."""


def roles(analysis: Analysis) -> dict[Key, str]:
    """What each thread that was seen is for."""
    recording, trainer = analysis.recording, analysis.loop.trainer_tid
    tables = (recording.waits, analysis.segments)
    seen = [k for t in tables for k in _keys(t.drop_duplicates(["pid", "tid"]))]
    ours = {(recording.facts.pid, trainer): "trainer"}
    ours |= roles_of(recording, trainer, analysis.segments)
    shown = dict(zip(_keys(analysis.threads), analysis.threads.role, strict=True))
    return {**dict.fromkeys(seen, words.OTHER), **ours, **shown}


def labels(analysis: Analysis) -> dict[Key, str]:
    """Name and role of each thread, the trainer first; no two are the same."""
    names = {
        key: clean(name)
        for table in (analysis.recording.threads, analysis.threads)
        for key, name in zip(_keys(table), table["name"], strict=True)
        if name
    }
    ranked = sorted(
        (words.ROLES.index(r), key, r) for key, r in roles(analysis).items()
    )
    texts = {
        key: f"{names.get(key) or f'thread {key[1]}'} ({role})"
        for _, key, role in ranked
    }
    often = Counter(texts.values())
    return {
        key: f"{text} {key[1]}" if often[text] > 1 else text
        for key, text in texts.items()
    }


def _keys(table: pd.DataFrame) -> list[Key]:
    return list(zip(table.pid.tolist(), table.tid.tolist(), strict=True))
