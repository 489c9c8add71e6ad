"""Threads as the exported formats name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

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
    seen = [*_keys(recording.waits), *_keys(analysis.segments)]
    ours = {(recording.facts.pid, trainer): "trainer"}
    ours |= roles_of(recording, trainer, analysis.segments)
    shown = dict(zip(_all_keys(analysis.threads), analysis.threads.role, strict=True))
    return {**dict.fromkeys(seen, words.OTHER), **ours, **shown}


def labels(analysis: Analysis) -> dict[Key, str]:
    """Name and role of each thread, the trainer first; no two are the same."""
    names = _names(analysis)
    texts = {
        key: f"{names.get(key) or f'thread {key[1]}'} ({role})"
        for key, role in sorted(roles(analysis).items(), key=_rank)
    }
    often = Counter(texts.values())
    return {
        key: f"{text} {key[1]}" if often[text] > 1 else text
        for key, text in texts.items()
    }


def _names(analysis: Analysis) -> dict[Key, str]:
    tables = (analysis.recording.threads, analysis.threads)
    return {
        key: clean(name)
        for table in tables
        for key, name in zip(_all_keys(table), table["name"], strict=True)
        if name
    }


def _rank(item: tuple[Key, str]) -> tuple[int, Key]:
    key, role = item
    return words.ROLES.index(role), key


def _keys(table: pd.DataFrame) -> Iterable[Key]:
    return _all_keys(table.drop_duplicates(["pid", "tid"]))


def _all_keys(table: pd.DataFrame) -> list[Key]:
    return list(zip(table.pid.tolist(), table.tid.tolist(), strict=True))
