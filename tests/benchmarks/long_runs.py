"""Made-up recordings of ten minutes, and a comparison of two, as large as real ones.

100,000 steps, 8 threads at 200 samples a second, py-spy and yappi in their blocks as
`collect.schedule` spreads them over such a run. Nothing of it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from debottleneck.collect import schedule
from debottleneck.recording.pyspy import RATE_HZ
from debottleneck.recording.recording import Facts, Recording, empty, typed
from debottleneck.recording.spool import ENTER, LEAVE, STATES
from debottleneck.trials import save
from debottleneck.trials.result import (
    FASTER,
    SAME_SPEED,
    SLOWER,
    Comparison,
    Interval,
    Predicted,
    Trial,
)
from debottleneck.trials.trial import Measured

STEPS, STEP_NS, THREADS, TICK_NS = 100_000, 6_000_000, 8, 5_000_000
END_NS = STEPS * STEP_NS
STAGES = ("load", "forward", "loss", "backward", "update")
PID = 1000
HOME = "/home/user"
SCRIPT = f"{HOME}/train.py"
LIBRARY = "/usr/lib/python3/site-packages/library"
TREES, DEEPEST, FUNCTIONS = 500, 40, 600
"""Different stacks of a stage, their frames, the functions that these are of."""

ROUNDS, TRIAL_STEPS, GATE_STEPS = 5, 2_000, 25
SPEEDS = {
    "prefetch:workers=4": 1.6,
    "prefetch:workers=2": 1.4,
    "prefetch:where=process": 1.1,
    "parallel-forward": 1.0,
    "parallel-update": 0.9,
    "prefetch:workers=4+parallel-forward": 1.5,
}


def recording(seed: int = 0, load: float = 3.0) -> Recording:
    """One run; `load` is how many times as long as the others that stage is."""
    rng = np.random.default_rng(seed)
    facts = Facts(("train.py",), "train.py", HOME, "", 0, END_NS, PID, PID)
    blocks = made_blocks()
    stacks, frames = made_stacks(rng, blocks)
    tables = {
        "sites": sites(),
        "threads": threads(),
        "marks": marks(rng, load),
        "waits": waits(rng),
        "details": details(),
        "handovers": handovers(rng),
        "blocks": blocks,
        "stacks": stacks,
        "frames": frames,
        "functions": functions(rng),
        "sources": sources(),
    }
    return Recording.of(facts, tables)


def sites() -> pd.DataFrame:
    """One function a stage."""
    rows = pd.DataFrame({"stage": STAGES, "name": STAGES, "file": SCRIPT})
    line = 20 * np.arange(1, len(STAGES) + 1)
    rows = rows.assign(pid=PID, site=range(len(STAGES)), line=line, kind="function")
    return typed("sites", rows)


def threads() -> pd.DataFrame:
    """The trainer and its loaders."""
    names = ["MainThread"] + [f"loader-{i}" for i in range(1, THREADS)]
    tids = np.arange(PID, PID + THREADS)
    rows = {"pid": PID, "tid": tids, "ident": tids, "name": names, "python": True}
    return typed("threads", pd.DataFrame(rows))


def marks(rng: np.random.Generator, load: float) -> pd.DataFrame:
    """Each step enters and leaves every stage once, with jitter."""
    parts = rng.uniform(0.5, 1.5, (STEPS, 2 * len(STAGES)))
    parts[:, 1] *= load
    lengths = parts / parts.sum(axis=1, keepdims=True) * STEP_NS
    times = np.cumsum(lengths.ravel()).astype(np.int64)
    site = np.tile(np.repeat(np.arange(len(STAGES)), 2), STEPS)
    edge = np.tile([ENTER, LEAVE], STEPS * len(STAGES))
    rows = {"t_ns": times, "cpu_ns": times * 3 // 4, "site": site, "edge": edge}
    return typed("marks", pd.DataFrame({"pid": PID, "tid": PID, **rows, "calls": edge}))


def waits(rng: np.random.Generator) -> pd.DataFrame:
    """Every thread sampled at every tick, running or waiting at random."""
    parts = [empty("waits")][:0]
    start = np.arange(0, END_NS, TICK_NS)
    for tid in range(PID, PID + THREADS):
        state = rng.choice(len(STATES), len(start), p=[0.5, *[0.5 / 7] * 7])
        ran = np.where(state == 0, rng.integers(3_000_000, 5_000_000, len(start)), 0)
        rows = {"start_ns": start, "end_ns": start + TICK_NS, "state": state}
        detail = rng.integers(1, DETAILS, len(start)) * (state != 0)
        holder = rng.integers(PID, PID + THREADS, len(start))
        more = {"detail": detail, "holder": holder, "oncpu_ns": ran}
        delay = rng.integers(0, 500_000, len(start)) * (state == 0)
        whole = {"pid": PID, "tid": tid, **rows, **more, "delay_ns": delay, "slices": 0}
        parts.append(pd.DataFrame(whole))
    return typed("waits", pd.concat(parts, ignore_index=True))


DETAILS = 200
"""Files and peers waited on."""


def details() -> pd.DataFrame:
    """What the waits were on."""
    what = [f"{HOME}/data/shard-{i:04}.bin" for i in range(DETAILS)]
    rows = {"detail": range(DETAILS), "syscall": "read", "what": what}
    return typed("details", pd.DataFrame(rows))


def handovers(rng: np.random.Generator) -> pd.DataFrame:
    """The GIL's count of hand-overs, thrice a second."""
    times = np.arange(0, END_NS, 333_000_000)
    switches = np.cumsum(rng.integers(100, 300, len(times)))
    rows = {"pid": PID, "t_ns": times, "switches": switches}
    return typed("handovers", pd.DataFrame(rows))


def made_blocks() -> pd.DataFrame:
    """When which instrument works, as the tool would have it."""
    now, rows = 0, []
    for block in schedule.blocks(stacks=True, functions=True):
        length = int(block.seconds * 1e9) or schedule.FUNCTION_STEPS * STEP_NS
        if now + length > END_NS:
            break
        if block.kind != "quiet":
            rows.append((block.kind, now, now + length))
        now += length
    return typed("blocks", pd.DataFrame(rows, columns=["kind", "start_ns", "end_ns"]))


def made_stacks(
    rng: np.random.Generator, blocks: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """py-spy's samples of every thread, and the frames of their stacks."""
    tick, parts = 1_000_000_000 // RATE_HZ, [empty("stacks")][:0]
    for block in blocks[blocks["kind"].isin(("stacks", "gil"))].itertuples():
        start = np.arange(block.start_ns, block.end_ns, tick)
        for tid in range(PID, PID + THREADS if block.kind == "stacks" else PID + 1):
            rows = {"start_ns": start, "end_ns": start + tick, "weight_ns": tick}
            stack = (TREES * len(STAGES) * rng.random(len(start)) ** 2).astype(int)
            whole = {"block": block.kind, "pid": PID, "tid": tid, "stack": stack}
            parts.append(pd.DataFrame({**whole, **rows}))
    return typed("stacks", pd.concat(parts, ignore_index=True)), frames(rng)


def frames(rng: np.random.Generator) -> pd.DataFrame:
    """A tree of calls for each stage, cut open into its paths."""
    rows: list[tuple[int, int, str, str, int]] = []
    for number in range(TREES * len(STAGES)):
        stage = number % len(STAGES)
        outer = [
            ("main", SCRIPT, 200),
            (f"[stage {STAGES[stage]}]", "<debottleneck>", 1),
        ]
        own = (STAGES[stage], SCRIPT, 20 * (stage + 1) + number % 7)
        path = [*outer, own, *_path(rng, stage)]
        rows += [(number, depth, *frame) for depth, frame in enumerate(path)]
    columns = ["stack", "depth", "function", "file", "line"]
    return typed("frames", pd.DataFrame(rows, columns=columns))


def _path(rng: np.random.Generator, stage: int) -> Iterator[tuple[str, str, int]]:
    """Frames of a library, each of which calls one of three others."""
    function = stage
    for _ in range(int(rng.integers(5, DEEPEST))):
        function = (
            function * 31 + int(rng.choice(3, p=[0.95, 0.04, 0.01])) + 7
        ) % FUNCTIONS
        yield f"function_{function}", f"{LIBRARY}/module_{function % 40}.py", function


def functions(rng: np.random.Generator) -> pd.DataFrame:
    """What yappi counted: every function in every thread, by both clocks."""
    names = [f"function_{i}" for i in range(FUNCTIONS)]
    files = [f"{LIBRARY}/module_{i % 40}.py" for i in range(FUNCTIONS)]
    base = {"function": names, "file": files, "line": range(FUNCTIONS)}
    parts = [empty("functions")][:0]
    for clock in ("wall", "cpu"):
        for place in range(THREADS):
            own = rng.integers(0, 50_000_000, FUNCTIONS)
            thread = f"loader-{place}" if place else "MainThread"
            one = pd.DataFrame({**base, "clock": clock, "tid": PID + place})
            calls = {"calls": rng.integers(1, 9_999, FUNCTIONS), "thread": thread}
            parts.append(one.assign(**calls, self_ns=own, total_ns=own * 2))
    return typed("functions", pd.concat(parts, ignore_index=True))


def sources() -> pd.DataFrame:
    """The script, as far as it is known."""
    line = np.arange(1, 221)
    text = [f"    total = total + weight[{i}] * value  # <{i}>" for i in line]
    return pd.DataFrame({"file": SCRIPT, "line": line, "text": text})


def comparison(folder: Path) -> None:
    """Two such runs and every trial between them, saved as `compare` saves them."""
    recording(0).save(folder / save.BASELINE)
    recording(1, load=0.5).save(folder / save.BEST)
    rng = np.random.default_rng(2)
    save.save(found(folder), list(ran(rng)), folder)
    losses(rng).to_parquet(folder / save.LOSSES, index=False)


def ran(rng: np.random.Generator) -> Iterator[save.TimedRun]:
    """Each trial of every round, the gate's first."""
    for spec in ("", "", *SPEEDS):
        yield save.TimedRun(spec, save.GATE_ROUND, trial(rng, GATE_STEPS, 1.0))
    for number in range(ROUNDS):
        for spec, speed in {"": 1.0, **SPEEDS}.items():
            yield save.TimedRun(spec, number, trial(rng, TRIAL_STEPS, speed))


def trial(rng: np.random.Generator, steps: int, speed: float) -> Measured:
    """One run with its steps' times."""
    pace = rng.normal(1.0, 0.01) * STEP_NS / speed
    length = (rng.gamma(50.0, pace / 50.0, steps)).astype(np.int64)
    begun = np.cumsum(length) - length
    seconds = float(length.sum() / 1e9)
    known = {"memory_mb": 400.0, "cpu_s": seconds, "seconds": seconds + 1}
    return replace(Measured(length, begun), **known, exit_code=0)


def losses(rng: np.random.Generator) -> pd.DataFrame:
    """A loss for each step of the gate's runs, the same in all of them."""
    steps = np.arange(1, GATE_STEPS + 1)
    values = np.exp(-steps / 10) + rng.normal(0, 0.01, GATE_STEPS)
    parts = [
        pd.DataFrame({"spec": spec, "step": steps, "value": values})
        for spec in ("", *SPEEDS)
    ]
    kinds = {"spec": "str", "step": "int64", "value": "float64"}
    return pd.concat(parts, ignore_index=True).astype(kinds)


def found(folder: Path) -> Comparison:
    """What such a comparison says."""
    plain, rows = STEP_NS / 1e6, []
    for spec, speed in sorted(SPEEDS.items(), key=lambda pair: -pair[1]):
        ratio = Interval(speed, speed * 0.98, speed * 1.02)
        verdict = FASTER if speed > 1 else SLOWER if speed < 1 else SAME_SPEED
        row = Trial(spec.split(":")[0], {}, spec, verdict, "same", rounds=ROUNDS)
        step = plain / speed
        said = Predicted(step, step, step, speed * 1.1, speed, speed * 1.2)
        more = {"speedup": ratio, "step_ms": step, "predicted": said}
        rows.append(replace(row, **more, memory_mb=20.0, cpu_ms=plain))
    return Comparison(
        command=("train.py",),
        created="2026-01-01T00:00:00+00:00",
        baseline_ms=Interval(plain, plain * 0.99, plain * 1.01),
        baseline_memory_mb=400.0,
        baseline_cpu_ms=plain,
        rounds=ROUNDS,
        steps=TRIAL_STEPS,
        trials=tuple(rows),
        best=rows[0].spec,
        keep=("from debottleneck import prefetch",),
        run=f"bottleneck run --strategy {rows[0].spec} train.py",
        environment={"cores": THREADS},
        before=folder / save.BASELINE,
        after=folder / save.BEST,
    )
