"""Hand-made analyses of runs that never happened, the same on every machine.

Each is consistent as a real one is: stages add up to the step, the trainer's causes
to their stage. No collector and no pass of `analysis` is involved; what is said first
is said as of real runs.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

import made_predictions
import numpy as np
import pandas as pd

from debottleneck import words
from debottleneck.analysis import frames
from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.result import (
    Analysis,
    Candidate,
    Finding,
    Loop,
    Verdict,
    Where,
)
from debottleneck.prediction.verdict import told
from debottleneck.recording.recording import (
    COLUMNS,
    Facts,
    NotMeasured,
    Recording,
    empty,
    typed,
)
from debottleneck.recording.spool import STATES

HOME = "/home/ada/project"
TRAIN = f"{HOME}/train.py"
DATA = f"{HOME}/data.py"
LIBRARY = "/opt/venv/lib/python3.11/site-packages"
NUMPY = f"{LIBRARY}/numpy/core/fromnumeric.py"
PID, MAIN = 4100, 4100
SAMPLE_NS = 5_000_000
SECOND = 1_000_000_000

Causes = Mapping[str, float]
"""Cause -> milliseconds per step."""


@dataclass(frozen=True)
class Thread:
    """One thread of a plan: who it is, and its causes' shares of its own time."""

    tid: int
    name: str
    role: str
    shares: Mapping[str, float]
    stage: str = ""


@dataclass(frozen=True)
class Plan:
    """What an example's loop does: the mean milliseconds by stage and cause."""

    stages: Mapping[str, Causes]
    steps: int = 240
    warmup: int = 6
    jitter: float = 0.03
    threads: Sequence[Thread] = ()
    every: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Instrument's block -> (first step, number of steps)."""
    slow: tuple[int, float] = (150, 2.4)
    """One step that takes that many times as long."""


def input_bound() -> Analysis:
    """A loop that waits for its storage server."""
    plan = Plan(
        stages={
            "load": {"network": 98.6, "python": 2.1, "unattributed": 0.5},
            "augment": {"python": 6.3, "native": 3.1},
            "forward": {"native": 33.8, "python": 1.4, "runqueue": 0.9},
            "loss": {"native": 0.8, "python": 0.3},
            "backward": {"native": 26.2, "python": 0.8, "lock": 1.2},
            "update": {"python": 4.4, "native": 1.9},
            "other": {"python": 0.9, "disk": 0.4, "unattributed": 0.3},
        },
        every={"stacks": (80, 12), "functions": (110, 8)},
        threads=(
            Thread(4107, "pool-0", "pool", {"native": 0.21, "lock": 0.79}),
            Thread(4108, "pool-1", "pool", {"native": 0.2, "lock": 0.79}),
        ),
    )
    built = build(plan)
    made = replace(
        built,
        findings=(_slow_source(built), _slow_update(built)),
        waited_on=_table(
            "waited_on",
            ("load", "trainer", "network", "recvfrom", "10.0.0.7:9000", 98.6),
            ("other", "trainer", "disk", "write", f"{HOME}/runs/log.csv", 0.4),
            ("forward", "trainer", "lock", "futex", "", 0.1),
        ),
    )
    return told(made)


def predicted() -> Analysis:
    """The same loop, with what strategies would make of it."""
    base = input_bound()
    facts = replace(base.recording.facts, command=("train.py", "--epochs", "3"))
    return told(
        replace(
            base,
            recording=replace(base.recording, facts=facts),
            findings=(_slow_source(base), _slow_update(base)),
            predictions=made_predictions.WAITING,
        )
    )


def _slow_source(built: Analysis) -> Finding:
    return _finding(
        built,
        "input-bound-io",
        "load",
        "network",
        severity="high",
        summary="The loop waits for data from 10.0.0.7:9000 in more than half of "
        "each step.",
        action="Fetch the next batch while this one trains.",
        evidence={
            "network_ms_per_step": 98.6,
            "peer": "10.0.0.7:9000",
            "python_share_of_load": 0.021,
        },
        where=(Where("load_batch", DATA, 41), Where("read_rows", DATA, 17)),
    )


def _slow_update(built: Analysis) -> Finding:
    return _finding(
        built,
        "update-bound",
        "update",
        "python",
        severity="low",
        summary="The update spends its time in Python, one parameter after another.",
        action="Update all parameters in one array, or use `foreach=True`.",
        evidence={"parameters": 62},
        where=(Where("update", TRAIN, 88),),
    )


def lined() -> Analysis:
    """A loop whose parts are lines of the script, one of them opened, with a stage."""
    net, row = f"{HOME}/net.py", "train.py:27"
    built = build(
        Plan(
            stages={
                "train.py:24": {"python": 0.2, "lock": 1.9},
                "train.py:25": {"python": 11.0, "native": 1.2, "gil": 0.3},
                "train.py:26": {"python": 0.05},
                row: {"python": 0.04},
                "net.py:12": {"native": 3.9},
                "net.py:13-14": {"python": 0.03},
                "forward": {"native": 2.6, "python": 0.3},
                "update": {"python": 0.06, "native": 0.07},
                "evaluate": {"native": 0.7},
                "other": {"python": 0.2},
            }
        )
    )
    rows = (
        ("train.py:24", TRAIN, 24, 24, "for x, y in loader", "", "input"),
        ("train.py:25", TRAIN, 25, 25, STACKED, "", "input"),
        ("train.py:26", TRAIN, 26, 26, "seen += len(x)", "", "train"),
        (row, TRAIN, 27, 27, "loss = net.train_on_batch(x, y)", "", "train"),
        ("net.py:12", net, 12, 12, "hidden = np.tanh(x @ self.w)", row, ""),
        ("net.py:13-14", net, 13, 14, "self.calls += 1", row, ""),
    )
    made = replace(built, rows=_table("rows", *rows), loop=_of_loader(built.loop))
    return told(replace(made, findings=diagnose(made)))


STACKED = "x = np.stack([jitter(image) for image in x]).reshape(len(x), -1)"


def _of_loader(loop: Loop) -> Loop:
    """Its steps are iterations of a loop; there were two more."""
    others = (
        Candidate("for _ in range(150)", TRAIN, 12, 22_500, "--step train.py:12"),
        Candidate("while not done", TRAIN, 61, 1, "--step train.py:61"),
    )
    place: dict[str, Any] = {"header": "for x, y in loader", "file": TRAIN, "line": 24}
    rule = 'a step is one iteration of "for x, y in loader" (train.py:24)'
    facts: dict[str, Any] = {"count": 1_500, "why": "an optimizer's step"}
    return replace(loop, rule=rule, others=others, **place, **facts)


def _finding(
    built: Analysis, kind: str, stage: str, cause: str, **more: Any
) -> Finding:
    """A finding on that part of the trainer's time, "" for all stages."""
    table = built.causes[built.causes.role == "trainer"]
    mine = table[(table.cause == cause) & ((table.stage == stage) | (stage == ""))]
    share = float(mine.share.sum())
    numbers: dict[str, Any] = {"share": share, "ceiling": 1 / (1 - share)}
    part = {"kind": kind, "stage": stage, "cause": cause, "role": "trainer"}
    return Finding(**part, **numbers, **more)


def _columns(name: str, *columns: Any) -> pd.DataFrame:
    """A table of `frames`, or `waits` of a recording, from its columns in order."""
    kinds = COLUMNS[name] if name == "waits" else frames.COLUMNS[name]
    made = pd.DataFrame(dict(zip(kinds, columns, strict=True)))
    return typed(name, made) if name == "waits" else frames.typed(name, made)


def _table(name: str, *rows: tuple[Any, ...]) -> pd.DataFrame:
    """A table of `frames` from whole rows, in the order of its columns."""
    return frames.typed(name, pd.DataFrame(rows, columns=[*frames.COLUMNS[name]]))


def gil_bound() -> Analysis:
    """A trainer that waits for two pure-Python augment threads to drop the GIL."""
    busy = {"python": 0.46, "gil": 0.5, "runqueue": 0.02, "unattributed": 0.02}
    plan = Plan(
        stages={
            "load": {"lock": 1.2, "gil": 0.8},
            "forward": {"native": 6.1, "gil": 7.9, "python": 1.3},
            "backward": {"native": 5.2, "gil": 6.6, "python": 1.1},
            "update": {"python": 3.9, "gil": 9.8, "runqueue": 0.2},
            "other": {"python": 0.3, "gil": 0.4, "unattributed": 0.1},
        },
        steps=900,
        warmup=20,
        jitter=0.08,
        every={"stacks": (300, 60), "functions": (420, 40)},
        slow=(610, 1.8),
        threads=(
            Thread(4121, "augment-0", "loader", busy, "augment"),
            Thread(4122, "augment-1", "loader", busy, "augment"),
        ),
    )
    built = build(plan)
    holder = Where("jitter_colours", f"{HOME}/augment.py", 63)
    finding = _finding(
        built,
        "gil-contention",
        "",
        "gil",
        severity="high",
        summary="The training thread waits for the GIL while augment threads run "
        "Python code.",
        action="Move augmentation into worker processes, or into NumPy calls that "
        "release the GIL.",
        evidence={"waiters": ["MainThread"], "holders": ["augment-0", "augment-1"]},
        where=(holder,),
    )
    made = replace(
        built,
        findings=(finding,),
        handovers_per_s=1180.4,
        gil_waits=_gil_waits(holder, finding.share),
    )
    return told(made)


def healthy() -> Analysis:
    """A balanced loop without a finding, its causes all shown."""
    plan = Plan(
        stages={
            "load": {"disk": 0.11, "python": 0.2},
            "forward": {"native": 1.62, "python": 0.08},
            "backward": {"native": 2.41, "python": 0.07},
            "update": {"native": 0.41, "python": 0.12},
            "other": {"python": 0.04, "unattributed": 0.02},
        },
        steps=4_000,
        warmup=40,
        slow=(2_000, 6.0),
        every={"stacks": (1_000, 200)},
    )
    made = replace(
        build(plan),
        not_measured=(
            NotMeasured(
                "functions (yappi)",
                "it was switched off with --no-functions",
                "profile again without --no-functions",
            ),
        ),
        functions=frames.empty("functions"),
    )
    return told(made)


def no_steps() -> Analysis:
    """A script without a training loop: causes and threads of the whole run."""
    built = build(
        Plan(
            stages={"other": {"python": 610.0, "disk": 240.0, "native": 150.0}},
            steps=1,
            warmup=0,
            threads=(Thread(4131, "writer", "other", {"disk": 0.7, "lock": 0.3}),),
        )
    )
    loop = Loop(
        trainer_tid=MAIN,
        found=False,
        rule="no function has a training name and PyTorch was not imported",
        unit="second",
        others=(
            Candidate(
                "for p in paths", f"{HOME}/convert.py", 9, 700, "--step convert.py:9"
            ),
        ),
    )
    made = replace(
        built,
        loop=loop,
        steps=frames.empty("steps"),
        step_stages=frames.empty("step_stages"),
        stages=frames.empty("stages"),
        not_measured=(
            NotMeasured(
                "steps and stages",
                "no training loop was recognised",
                "name the line of the loop: --step convert.py:9",
            ),
        ),
    )
    return told(made)


def killed() -> Analysis:
    """The input-bound run, ended by SIGKILL after its first 40 steps, without waits."""
    built = build(
        Plan(
            stages={"load": {"unattributed": 100.0}, "forward": {"unattributed": 30.0}},
            steps=40,
            warmup=2,
            slow=(20, 1.5),
        )
    )
    facts = replace(
        built.recording.facts,
        exit_signal=9,
        ended_by="signal",
        partial=True,
        partial_why="the script was killed",
    )
    gap = NotMeasured(
        "waits and causes",
        "/proc/4100/syscall cannot be read (Operation not permitted)",
        "run as the same user, without a hardened ptrace_scope",
    )
    stacks = NotMeasured(
        "stacks (py-spy)", "the run was too short", "let it run for 20 s"
    )
    missing = ("causes", "threads", "flame", "lines", "functions", "instruments")
    made = replace(
        built,
        recording=replace(built.recording, facts=facts, waits=empty("waits")),
        not_measured=(gap, stacks),
        **{name: frames.empty(name) for name in missing},
    )
    return told(made)


EVIL = "<script>window.pwned = 1; alert(1)</script>"
EVIL_FILE = f"{HOME}/it's \"</script><img src=x onerror='window.pwned=2'>&.py"


HOSTILE = (
    EVIL,
    "</script></pre></style><img src=x onerror=window.pwned=1>",
    "'\"><svg onload=window.pwned=1>${window.pwned=1}{{window.pwned=1}}",
    '<a href="javascript:window.pwned=1">${7*7}</a> {{7*7}} {% raw %} %{x}',
    "`${window.pwned=1}` \\u003cimg src=x onerror=window.pwned=1\\u003e",
)
"""Names that would run, or be filled in, where they are not escaped."""


def hostile(evil: str = EVIL) -> Analysis:
    """The GIL-bound run with names that try to get out of the page."""
    base = _with_line(gil_bound(), "update", evil)
    facts = replace(
        base.recording.facts,
        command=("python", EVIL_FILE, evil, "{{ 7 * 7 }}", "\x1b[31mred"),
        script=EVIL_FILE,
        environment={evil: {"host</script>": evil}, "list": [evil, 1, None, 2.5]},
        options={"stage": [evil]},
    )
    named = {"function": evil, "file": EVIL_FILE, "thread": evil, "name": evil}
    named |= {"holder_thread": evil, "holder_function": evil, "holder_file": EVIL_FILE}
    named |= {"what": evil, "note": evil}
    tables = {
        name: getattr(base, name).assign(
            **{c: v for c, v in named.items() if c in frames.COLUMNS[name]}
        )
        for name in ("threads", "gil_waits", "lines", "flame", "functions")
    }
    place = Where(evil, EVIL_FILE, 3)
    other = Candidate(evil, EVIL_FILE, 9, 12, f"--step {evil}")
    finding = replace(
        base.findings[0],
        summary=evil,
        action=f"%{{customdata}} {evil}",
        where=(place,),
        evidence={evil: evil},
    )
    return replace(
        base,
        recording=replace(base.recording, facts=facts, sources=_hostile_source(evil)),
        loop=replace(base.loop, line=3, header=evil, why=evil, others=(other,)),
        findings=(finding,),
        verdict=Verdict(evil, f"{evil} {EVIL_FILE}:3\x07", f"a\u2028b\ud800 {evil}"),
        not_measured=(NotMeasured(evil, evil, evil),),
        waited_on=_table(
            "waited_on", ("load", "trainer", "disk", "read", EVIL_FILE, 1.5)
        ),
        predictions=made_predictions.hostile(evil),
        **tables,
    )


def _with_line(built: Analysis, stage: str, source: str) -> Analysis:
    """That stage as a line of EVIL_FILE."""
    name = f"{PurePath(EVIL_FILE).name}:3"
    named = ("stages", "step_stages", "segments", "causes", "gil_waits", "lines")
    tables = {
        table: getattr(built, table).replace({"stage": {stage: name}})
        for table in (*named, "flame")
    }
    rows = _table("rows", (name, EVIL_FILE, 3, 3, source, "", "train"))
    return replace(built, rows=rows, **tables)


def long_run(
    steps: int = 100_000, threads: int = 8, waits: int = 1_000_000
) -> Analysis:
    """A ten-minute run: many short steps, many samples."""
    others = tuple(
        Thread(5000 + i, f"worker-{i}", "loader", {"python": 0.5, "lock": 0.5}, "load")
        for i in range(threads - 1)
    )
    plan = Plan(
        stages={
            "load": {"lock": 0.9, "python": 0.2},
            "augment": {"python": 0.4},
            "transfer": {"native": 0.2},
            "forward": {"native": 1.5},
            "loss": {"native": 0.1},
            "backward": {"native": 2.1},
            "update": {"python": 0.5},
            "other": {"python": 0.1},
        },
        steps=steps,
        warmup=100,
        slow=(steps // 2, 30.0),
        threads=others,
        every={"stacks": (20_000, 4_000), "functions": (60_000, 500)},
    )
    built = build(plan, with_waits=False)
    dense = _dense_waits(plan, int(built.steps.end_ns.max()), waits)
    return replace(
        built,
        recording=replace(built.recording, waits=dense),
        flame=_wide_flame(6_000),
        verdict=Verdict("The loop computes.", "forward", "Nothing."),
    )


MAKERS = (input_bound, predicted, gil_bound, lined, healthy, no_steps, killed, hostile)
EXAMPLES: Mapping[str, Callable[[], Analysis]] = {
    make.__name__: make for make in MAKERS
}


def build(plan: Plan, with_waits: bool = True) -> Analysis:
    """An analysis of the planned loop, without findings."""
    steps, step_stages = _steps_of(plan)
    segments = _segments_of(plan, steps, step_stages)
    loop = _loop_of(plan, steps)
    waits = _sampled_waits(plan, steps, segments) if with_waits else empty("waits")
    return Analysis(
        recording=Recording.of(_facts(steps), {"waits": waits}),
        loop=loop,
        not_measured=(),
        handovers_per_s=None,
        steps=steps,
        step_stages=step_stages,
        segments=segments,
        rows=frames.empty("rows"),
        stages=_stages_of(plan, steps, step_stages, loop),
        causes=_causes_of(plan, steps, step_stages, loop),
        threads=_threads_of(plan, steps),
        gil_waits=frames.empty("gil_waits"),
        lock_waits=frames.empty("lock_waits"),
        waited_on=frames.empty("waited_on"),
        lines=_lines(),
        flame=_flame(plan),
        functions=_functions(),
        instruments=_instruments(loop),
    )


def _facts(steps: pd.DataFrame) -> Facts:
    return Facts(
        command=("python", "train.py", "--epochs", "3"),
        script=TRAIN,
        directory=HOME,
        created="2026-11-20T09:30:00Z",
        start_ns=0,
        end_ns=int(steps.end_ns.max()) + SECOND,
        pid=PID,
        main_tid=MAIN,
        options={"rate": 200, "warmup": None, "stacks": True},
        environment={
            "host": {"system": "Linux 6.18 x86_64", "cores": 8, "quota": None},
            "python": {"version": "3.11.9", "gil": True},
            "libraries": {"numpy": "2.4.6", "torch": "2.13.0"},
            "load": {"before": 0.31, "per_core": [0.1, 0.04, 0.02]},
        },
        exit_code=0,
        rates={"waits": {"asked_hz": 200, "reached_hz": 198.7, "cpu_share": 0.031}},
    )


def _loop_of(plan: Plan, steps: pd.DataFrame) -> Loop:
    wall = steps.wall_ns[steps.block == "quiet"].to_numpy() / 1e6
    doubt = 1.96 * float(wall.std()) / len(wall) ** 0.5
    return Loop(
        trainer_tid=MAIN,
        found=True,
        rule="a step begins at each load",
        warmup=plan.warmup,
        warmup_why="until then step times were still falling",
        measured=len(wall),
        step_ms=float(wall.mean()),
        step_low=float(wall.mean()) - doubt,
        step_high=float(wall.mean()) + doubt,
        step_median_ms=float(np.median(wall)),
        step_p95_ms=float(np.quantile(wall, 0.95)),
    )


def _steps_of(plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(7)
    means = np.array([sum(causes.values()) for causes in plan.stages.values()])
    factors = random.lognormal(0, plan.jitter, (plan.steps, len(means)))
    factors[: plan.warmup] *= 1.7
    if plan.slow[0] < plan.steps:
        factors[plan.slow[0], 0] *= plan.slow[1] * 2
    block = np.full(plan.steps, "quiet", dtype=object)
    block[: plan.warmup] = "warmup"
    for kind, (first, number) in plan.every.items():
        block[first : first + number] = kind
        factors[first : first + number] *= 1.09
    wall = (means * factors * 1e6).astype("int64")
    whole = wall.sum(axis=1)
    ends = SECOND + np.cumsum(whole)
    steps = np.arange(plan.steps)
    stage = np.tile(np.array(list(plan.stages), dtype=object), plan.steps)
    parts = (np.repeat(steps, len(means)), stage, wall.ravel(), wall.ravel() // 2)
    return (
        _columns("steps", steps, ends - whole, ends, whole, block),
        _columns("step_stages", *parts),
    )


def _segments_of(
    plan: Plan, steps: pd.DataFrame, step_stages: pd.DataFrame
) -> pd.DataFrame:
    ends = steps.start_ns.iloc[0] + step_stages.wall_ns.cumsum()
    stage, wall, cpu = step_stages.stage, step_stages.wall_ns, step_stages.cpu_ns
    site = np.where(stage == "other", -1, 1)
    mine = _columns("segments", MAIN, PID, stage, site, ends - wall, ends, cpu)
    others = [
        steps.assign(tid=t.tid, pid=PID, stage=t.stage, site=9, cpu_ns=0)
        for t in plan.threads
        if t.stage
    ]
    return frames.typed("segments", pd.concat([mine, *others], ignore_index=True))


def _quiet(steps: pd.DataFrame, step_stages: pd.DataFrame) -> pd.DataFrame:
    quiet = steps.step[steps.block == "quiet"]
    return step_stages[step_stages.step.isin(quiet)]


def _stages_of(
    plan: Plan, steps: pd.DataFrame, step_stages: pd.DataFrame, loop: Loop
) -> pd.DataFrame:
    rows = []
    parts = _quiet(steps, step_stages)
    for stage in plan.stages:
        ms = parts.wall_ns[parts.stage == stage].to_numpy() / 1e6
        mean, doubt = ms.mean(), 1.96 * float(ms.std()) / len(ms) ** 0.5
        spread = (mean - doubt, mean + doubt, np.median(ms), np.quantile(ms, 0.95))
        shares = tuple(x / loop.step_ms for x in (mean, *spread[:2]))
        rows.append((stage, mean, *shares, *spread, mean / 2, 1.0))
    return _table("stages", *rows)


def _causes_of(
    plan: Plan, steps: pd.DataFrame, step_stages: pd.DataFrame, loop: Loop
) -> pd.DataFrame:
    parts = _quiet(steps, step_stages)
    rows = []
    for stage, causes in plan.stages.items():
        mean = parts.wall_ns[parts.stage == stage].mean() / 1e6
        for cause, ms in causes.items():
            part = mean * ms / sum(causes.values())
            rows.append((stage, "trainer", cause, part))
    for thread in plan.threads:
        for cause, share in thread.shares.items():
            part = share * loop.step_ms
            rows.append((thread.stage or "other", thread.role, cause, part))
    keys = ["stage", "role", "cause"]
    table = pd.DataFrame(rows, columns=[*keys, "ms"])
    table = table.groupby(keys, sort=False, as_index=False).sum()
    ms = table.ms
    shares = (ms / loop.step_ms * part for part in (1, 0.97, 1.03))
    times = (ms, *shares, ms * 0.97, ms * 1.03, ms, ms * 1.1)
    return _columns("causes", *(table[key] for key in keys), *times)


def _threads_of(plan: Plan, steps: pd.DataFrame) -> pd.DataFrame:
    sums = dict.fromkeys(words.CAUSES, 0.0)
    for causes in plan.stages.values():
        for cause, ms in causes.items():
            sums[cause] += ms
    total = sum(sums.values())
    main = {c: ms / total for c, ms in sums.items()}
    everyone = [Thread(MAIN, "MainThread", "trainer", main), *plan.threads]
    seen = float(steps.wall_ns[steps.block == "quiet"].sum()) / 1e6
    rows = [
        (PID, t.tid, t.name, t.role, seen, *(t.shares.get(c, 0.0) for c in sums))
        for t in everyone
    ]
    return _table("threads", *rows)


def _sampled_waits(
    plan: Plan, steps: pd.DataFrame, segments: pd.DataFrame
) -> pd.DataFrame:
    """Samples as the wait sampler takes them, causes drawn by their shares."""
    random = np.random.default_rng(11)
    ticks = np.arange(SECOND, int(steps.end_ns.max()), SAMPLE_NS)
    mine = segments[segments.tid == MAIN]
    at = np.searchsorted(mine.start_ns.to_numpy(), ticks + SAMPLE_NS, "right") - 1
    stage = mine.stage.to_numpy()[np.minimum(at, len(mine) - 1)]
    tables = []
    states = np.full(len(ticks), "native", dtype=object)
    for name, causes in plan.stages.items():
        here = stage == name
        shares = np.array(list(causes.values())) / sum(causes.values())
        states[here] = random.choice(list(causes), here.sum(), p=shares)
    tables.append(_waits_of(MAIN, ticks, states, plan))
    for thread in plan.threads:
        shares = np.array(list(thread.shares.values()))
        drawn = random.choice(list(thread.shares), len(ticks), p=shares / shares.sum())
        tables.append(_waits_of(thread.tid, ticks, drawn.astype(object), plan))
    return typed("waits", pd.concat(tables, ignore_index=True))


def _waits_of(
    tid: int, ticks: np.ndarray[Any, Any], causes: np.ndarray[Any, Any], plan: Plan
) -> pd.DataFrame:
    running = np.isin(causes, ["python", "native", "runqueue"])
    names = np.where(running, "running", causes)
    other = plan.threads[0].tid if plan.threads else 0
    holder = np.where(causes == "python", tid, np.where(causes == "gil", other, 0))
    late = causes == "runqueue"
    state = [STATES.index(name if name in STATES else "running") for name in names]
    on_core = np.where(running & ~late, SAMPLE_NS, 0)
    delay = np.where(late, SAMPLE_NS, 0)
    times = (ticks, ticks + SAMPLE_NS)
    return _columns("waits", PID, tid, *times, state, 0, holder, on_core, delay, 0)


def _dense_waits(plan: Plan, end_ns: int, rows: int) -> pd.DataFrame:
    tids = np.array([MAIN, *(thread.tid for thread in plan.threads)])
    each = rows // len(tids)
    edges = np.linspace(SECOND, end_ns, each + 1).astype("int64")
    random = np.random.default_rng(3)
    times = (np.tile(edges[:-1], len(tids)), np.tile(edges[1:], len(tids)))
    state = random.integers(0, len(STATES), each * len(tids))
    return _columns("waits", PID, np.repeat(tids, each), *times, state, 0, 0, 0, 0, 0)


def _gil_waits(holder: Where, share: float) -> pd.DataFrame:
    parts = {"update": 0.39, "forward": 0.31, "backward": 0.26, "load": 0.04}
    place = (holder.function, holder.file, holder.line)
    rows = [
        (stage, "trainer", f"augment-{i}", 4121 + i, *place, share * part / 2)
        for stage, part in parts.items()
        for i in (0, 1)
    ]
    return _table("gil_waits", *rows)


def _hostile_source(evil: str) -> pd.DataFrame:
    rows = {"file": EVIL_FILE, "line": range(1, 6), "text": f"    name = {evil}"}
    return typed("sources", pd.DataFrame(rows))


def _lines() -> pd.DataFrame:
    rows = [
        ("load", "load_batch", DATA, 41, 0.71),
        ("load", "read_rows", DATA, 17, 0.24),
        ("forward", "forward", TRAIN, 52, 0.93),
        ("backward", "backward", TRAIN, 70, 0.9),
        ("update", "update", TRAIN, 88, 0.66),
        ("update", "update", TRAIN, 89, 0.31),
    ]
    return _table("lines", *((s, "trainer", "MainThread", *row) for s, *row in rows))


def _flame(plan: Plan) -> pd.DataFrame:
    """A small tree for each stage: the script, its function, what that called."""
    rows = []
    for stage, causes in plan.stages.items():
        ms = 10 * sum(causes.values())
        gil = 10 * causes.get("python", 0.0)
        inner = f"{stage}_batch" if stage == "load" else stage
        tree = [
            (-1, "<module>", TRAIN, 120, 1.0),
            (0, "main", TRAIN, 101, 1.0),
            (1, inner, DATA if stage == "load" else TRAIN, 41, 0.96),
            (2, "dot", NUMPY, 210, 0.55),
            (2, "_wrapreduction", NUMPY, 88, 0.3),
            (4, "sum", NUMPY, 2172, 0.22),
        ]
        for index, (parent, function, file, line, share) in enumerate(tree):
            held = gil * share if file != NUMPY else 0.6 * ms * share * (index == 5)
            row = (stage, "trainer", index, parent, function, file, line, ms * share)
            rows.append((*row, min(held, ms * share)))
    return _table("flame", *rows)


def _wide_flame(nodes: int) -> pd.DataFrame:
    random = np.random.default_rng(5)
    ids = np.arange(nodes)
    parent = np.where(ids == 0, -1, (ids - 1) // 3)
    weight = np.zeros(nodes)
    weight[-nodes // 2 :] = random.exponential(4.0, nodes - nodes // 2)[: nodes // 2]
    for index in range(nodes - 1, 0, -1):
        weight[parent[index]] += weight[index]
    names = [f"function_with_a_long_name_{i}" for i in ids]
    files = [f"{LIBRARY}/pkg/mod_{i % 90}.py" for i in ids]
    columns = ("trainer", ids, parent, names, files, ids, weight, weight * 0.4)
    stages = ("load", "augment", "forward", "loss", "backward", "update", "other")
    table = pd.concat([_columns("flame", s, *columns) for s in stages])
    return frames.typed("flame", table)


def _functions() -> pd.DataFrame:
    rows = [
        ("load_batch", DATA, 33, 48, 14.1, 4742.0, 12.9, 110.2),
        ("read_rows", DATA, 12, 1536, 4602.3, 4710.5, 71.0, 84.1),
        ("forward", TRAIN, 50, 48, 1702.1, 1733.0, 1688.4, 1719.6),
        ("update", TRAIN, 84, 48, 301.5, 310.2, 300.1, 308.8),
        ("Adam.<lambda>", TRAIN, 90, 2976, 8.8, 8.8, 8.7, 8.7),
    ]
    roles = {"MainThread": "trainer", "augment-0": "loader", "augment-1": "loader"}
    table = [(*who, *r, r[5] - r[7]) for who in roles.items() for r in rows]
    return _table("functions", *table)


def _instruments(loop: Loop) -> pd.DataFrame:
    nan = float("nan")
    rows = [
        ("marks", 0, nan, nan, nan, nan, "about 1.1 us a mark, 14 marks a step"),
        ("waits", 0, nan, nan, nan, nan, "3.1 % of one core, in its own process"),
        ("stacks", 12, loop.step_ms * 1.09, 0.09, 0.071, 0.112, "py-spy at 100 Hz"),
        ("functions", 8, loop.step_ms * 1.31, 0.31, 0.27, 0.36, "yappi, two clocks"),
    ]
    return _table("instruments", *rows)


def packed_in(html: str, id: str) -> str:
    """What a page holds packed: "data", its figures, or "plotly"."""
    found = re.search(rf'id="{id}">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1], validate=True)).decode()
