"""What each thread is for, by what it ran and by its name."""

from __future__ import annotations

import re

import pandas as pd

from debottleneck.recording.recording import Recording
from debottleneck.words import OTHER

_PIN = re.compile(r"pin_?memory", re.I)
_AUTOGRAD = re.compile(r"^pt_autograd", re.I)
_LOADER = re.compile(
    r"load|fetch|(?<!th)read|produc|feed|augment|decode|worker|batch|queue", re.I
)
_PLUMBING = re.compile(r"QueueFeederThread|QueueManagerThread|_serve\)|resource_shar")
"""Helper threads of multiprocessing, which make no batches."""

Roles = dict[tuple[int, int], str]
"""(pid, tid) -> a word of `words.ROLES`."""

_INPUT = ("load", "augment", "transfer")


def roles_of(recording: Recording, trainer: int, segments: pd.DataFrame) -> Roles:
    """What each thread of the run is for."""
    ran = _dominant_stage(segments)
    pid = recording.facts.pid
    feeders = {*recording.facts.feeders, *recording.facts.wakers} - {trainer}
    ran = {(pid, tid): "load" for tid in feeders} | ran
    roles = {}
    for row in recording.threads.itertuples(index=False):
        key = (int(row.pid), int(row.tid))
        name, python = str(row.name), bool(row.python)
        roles[key] = _role(key, name, python, ran, pid, trainer)
    return roles


def _role(
    key: tuple[int, int],
    name: str,
    python: bool,
    ran: dict[tuple[int, int], str],
    pid: int,
    trainer: int,
) -> str:
    if key == (pid, trainer):
        return "trainer"
    if _AUTOGRAD.search(name):
        return "autograd"
    if _PLUMBING.search(name) and key not in ran:
        return OTHER
    if key[0] != pid:
        return "worker" if python or key[0] == key[1] else "pool"
    if _PIN.search(name):
        return "pin-memory"
    if not python:
        return "pool"
    if ran.get(key) in _INPUT or (key not in ran and _LOADER.search(name)):
        return "loader"
    return OTHER


def _dominant_stage(segments: pd.DataFrame) -> dict[tuple[int, int], str]:
    """The stage each thread spent most time in, `other` not counted."""
    marked = segments[segments["stage"] != OTHER]
    if marked.empty:
        return {}
    length = marked["end_ns"] - marked["start_ns"]
    sums = length.groupby([marked["pid"], marked["tid"], marked["stage"]]).sum()
    best = sums.groupby(level=[0, 1]).idxmax()
    return {(int(pid), int(tid)): str(stage) for pid, tid, stage in best}
