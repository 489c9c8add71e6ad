"""Which rows virtual speed-ups are tried of: those at work, within the budget."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from debottleneck.collect import causal
from debottleneck.collect.causal import Experiments
from debottleneck.collect.progress import Seen
from debottleneck.recording import spool
from debottleneck.recording.loop import Steps

PID, LOADER = 7, 8
MS = 1_000_000
STEP_MS, STEPS = 20, 40
WORDS = ("step", "load", "forward", "line", "line", "line")
LOOP, LOAD, FORWARD, CALL, TAKE, LAST = range(6)
ENTER, LEAVE, BEGIN = spool.ENTER, spool.LEAVE, spool.STEP_START

TRAINER_MARKS = (
    (0, LOOP, BEGIN), (0, TAKE, ENTER), (8, CALL, ENTER), (8.1, FORWARD, ENTER),
    (18, FORWARD, LEAVE), (18.1, LAST, ENTER),
)  # fmt: skip
"""Of a step: it takes a batch, calls `forward`, and has a small last line."""

LOADER_MARKS = ((1, LOAD, ENTER), (13, LOAD, LEAVE))


def spooled(
    folder: Path, threads: dict[int, tuple[tuple[float, int, int], ...]]
) -> None:
    """What a run leaves: marks of threads, sites, samples each millisecond."""
    for tid, marks in threads.items():
        header = spool.MARK_HEADER.pack(spool.MARK_MAGIC, PID, tid, tid)
        records = bytearray(header.ljust(spool.MARK_START, b"\0"))
        for step in range(STEPS):
            for ms, site, edge in marks:
                t = round((1 + step * STEP_MS + ms) * MS)
                records += spool.MARK.pack(t, t, site << 2 | edge, 1)
        (folder / f"marks-{PID}-{tid}-0-{tid}.bin").write_bytes(records)
    kinds = ("loop", "function", "function", *["statement"] * 3)
    lines = [
        {
            "site": site, "stage": stage, "name": stage, "kind": kind, "file": "t.py",
            "line": site, "end": site, "within": LOOP if stage == "line" else -1,
            "side": "",
        }
        for site, (stage, kind) in enumerate(zip(WORDS, kinds, strict=True))
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    spool.sites_file(folder, PID).write_text(text)
    waits = bytearray()
    for tid in threads:
        for ms in range(1, STEPS * STEP_MS):
            into = (ms - 1) % STEP_MS
            idle = into < 8 if tid == PID else not 1 <= into < 13
            state = spool.STATES.index("lock" if idle else "running")
            t = ms * MS + MS // 2
            waits += spool.WAIT.pack(PID, tid, t - MS, t, 0, 0, 0, state, 0, 0)
    (folder / spool.WAITS_FILE).write_bytes(waits)


def seen(marked: bool = True) -> Seen:
    """The trainer's steps."""
    start = np.arange(STEPS, dtype=np.int64) * STEP_MS * MS + MS
    steps = Steps(start, start + STEP_MS * MS, "", np.full(STEPS, marked))
    return Seen(steps, PID, spool.ANY_BOUNDARY, True)


def asked(folder: Path) -> dict[str, object]:
    """What the agent is told."""
    return json.loads((folder / spool.DELAYS_FILE).read_text())


def test_rows_at_work_are_tried_of_every_thread(tmp_path: Path) -> None:
    """A wait is no row to make faster, nor what calls a stage and does little else."""
    spooled(tmp_path, {PID: TRAINER_MARKS, LOADER: LOADER_MARKS})
    experiments = Experiments(tmp_path, PID)
    assert experiments.begin(seen(), 1000.0)
    told = asked(tmp_path)
    trials = told["trials"]
    assert {trial["site"] for trial in trials} == {LOAD, FORWARD, LAST}
    lengths = {t["site"]: t["delay_ns"] / t["percent"] for t in trials if t["percent"]}
    assert lengths[LOAD] == pytest.approx(12 * MS / 100)
    assert lengths[FORWARD] == pytest.approx(9.9 * MS / 100)
    ends = next(trial["ends"] for trial in trials if trial["site"] == LAST)
    assert LOOP << 2 | BEGIN in ends
    assert CALL << 2 | ENTER in ends
    assert LAST << 2 | ENTER not in ends  # marked again after a loop within it
    assert told["waits"][str(TAKE << 2 | ENTER)] == 1.0
    assert told["waits"][str(LOAD << 2 | LEAVE)] == 1.0
    assert str(FORWARD << 2 | ENTER) not in told["waits"]


def test_each_trial_stands_between_two_without_delays(tmp_path: Path) -> None:
    """In random order, each row and percent once before any comes again."""
    spooled(tmp_path, {PID: TRAINER_MARKS, LOADER: LOADER_MARKS})
    experiments = Experiments(tmp_path, PID)
    pairs = []
    for _ in range(2):
        assert experiments.begin(seen(), 1000.0)
        trials = asked(tmp_path)["trials"]
        percents = [trial["percent"] for trial in trials]
        assert set(percents[::2]) == {0}
        assert 0 not in percents[1::2]
        pairs += [(trial["site"], trial["percent"]) for trial in trials[1::2]]
    first = pairs[: 3 * len(spool.PERCENTS)]
    assert len(set(first)) == len(first)
    assert first != sorted(first)


@pytest.mark.parametrize(
    ("threads", "marked"),
    [({PID: TRAINER_MARKS}, True), ({PID: TRAINER_MARKS, LOADER: LOADER_MARKS}, False)],
)
def test_nothing_is_tried_where_nothing_would_show(
    tmp_path: Path, threads: dict[int, tuple[tuple[float, int, int], ...]], marked: bool
) -> None:
    """One thread alone has its row's share; of unmarked steps few passes are seen."""
    spooled(tmp_path, threads)
    assert not Experiments(tmp_path, PID).begin(seen(marked), 1000.0)


def test_delays_take_a_small_part_of_the_run(tmp_path: Path) -> None:
    """Even where each of them makes a step longer; before the loop is seen, none."""
    spooled(tmp_path, {PID: TRAINER_MARKS, LOADER: LOADER_MARKS})
    experiments = Experiments(tmp_path, PID)
    assert not experiments.begin(None, 1000.0)
    assert not experiments.begin(seen(), 0.1)
    spent = now = 0.0
    while now < 300.0:
        now += 1.0
        if experiments.begin(seen(), now):
            trials = asked(tmp_path)["trials"]
            spent += sum(
                trial["delay_ns"] * trial["length_ns"] / STEP_MS / MS
                for trial in trials
            )
            assert spent / 1e9 < causal.BUDGET * now + 0.5
    assert spent / 1e9 > 0.5 * causal.BUDGET * now
