"""Loops made by hand for the tests of rules: shares in, an analysis out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from made_runs import FACTS, PID, table

from debottleneck.analysis import frames
from debottleneck.analysis.feeding import LoaderWork
from debottleneck.analysis.result import Analysis, Finding, Loop
from debottleneck.recording.recording import Recording
from debottleneck.words import CAUSES

STEP_MS = 100.0
LOOP = Loop(trainer_tid=1, found=True, rule="a step begins at each load", measured=50)
NO_LOOP = Loop(trainer_tid=1, found=False, rule="no stage was seen", unit="second")

HEALTHY = {
    ("load", "python"): 0.02,
    ("load", "native"): 0.04,
    ("forward", "native"): 0.30,
    ("forward", "python"): 0.03,
    ("backward", "native"): 0.36,
    ("backward", "gil"): 0.01,
    ("update", "native"): 0.18,
    ("update", "python"): 0.03,
    ("other", "python"): 0.02,
    ("other", "unattributed"): 0.01,
}

Shares = Mapping[tuple[str, str], float]


def rows(name: str, made: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of `frames` from rows that name only the columns that matter."""
    blank = {
        column: "" if kind == "str" else 0 if kind == "int64" else math.nan
        for column, kind in frames.COLUMNS[name].items()
    }
    return frames.typed(name, pd.DataFrame([{**blank, **row} for row in made]))


def timed(share: float, doubt: float) -> dict[str, float]:
    """The numbers of a share of the step; its bounds are so many milliseconds off."""
    ms, off = share * STEP_MS, doubt / STEP_MS
    return {
        **{"ms_per_step": ms, "low": ms - doubt, "high": ms + doubt},
        **{"share": share, "share_low": share - off, "share_high": share + off},
    }


TORCH = table("sites", [(PID, 0, "load", "torch DataLoader", "", 0, "torch")])
"""The sites of a script whose loads PyTorch's own hooks mark."""


def loaders(*pids: int, epochs: int = 1, **more: Any) -> dict[str, Any]:
    """What facts tell of a DataLoader that has begun so many epochs with these."""
    plain = {
        **{"loader": 0, "pids": pids, "start_ns": 0, "end_ns": 0},
        **{"workers": len(pids), "persistent": False, "prefetch": 2, "pin": False},
        **{"sharing": "file_descriptor", "start": "", "batch": 16},
        **{"sampler": "RandomSampler", "ordered": True, "may_reorder": True},
    }
    return {"loaders": ({**plain, "of_tensors": False, **more},) * epochs}


def analysis_of(
    loop: Loop = LOOP,
    cores: float | None = None,
    environment: Mapping[str, Any] | None = None,
    sites: pd.DataFrame | None = None,
    handovers_per_s: float | None = None,
    feeding: LoaderWork | None = None,
    told: Mapping[str, Any] | None = None,
    **tables: pd.DataFrame,
) -> Analysis:
    """An analysis without findings: of these tables, the others empty."""
    environment = {"cores": cores, **(environment or {})}
    facts = replace(FACTS, environment=environment, **(told or {}))
    return Analysis(
        recording=Recording.of(facts, {} if sites is None else {"sites": sites}),
        loop=loop,
        not_measured=(),
        handovers_per_s=handovers_per_s,
        feeding=feeding,
        **{name: frames.empty(name) for name in frames.COLUMNS} | tables,
    )


def loop_of(
    shares: Shares, calls: Mapping[str, float] | None = None, **more: Any
) -> Analysis:
    """A loop whose trainer spends these shares; the rest as for `analysis_of`."""
    causes = [
        {"stage": stage, "role": "trainer", "cause": cause, **timed(share, 1.0)}
        for (stage, cause), share in shares.items()
    ]
    totals: dict[str, float] = {}
    for (stage, _), share in shares.items():
        totals[stage] = totals.get(stage, 0.0) + share
    stages = [
        {"stage": stage, "calls_per_step": (calls or {}).get(stage, 1.0)}
        | timed(share, 1.0)
        for stage, share in totals.items()
    ]
    causes += more.pop("other_roles", [])
    made = {"stages": rows("stages", stages), "causes": rows("causes", causes)}
    return analysis_of(**made | more)


def threads(*made: Mapping[str, Any]) -> pd.DataFrame:
    """Threads with their own shares; causes not named are 0."""
    zeros = dict.fromkeys(CAUSES, 0.0)
    return rows(
        "threads",
        [
            {"pid": 1, "tid": 10 + number, "wall_ms": 1000.0, **zeros, **row}
            for number, row in enumerate(made)
        ],
    )


def trainer_thread(**shares: float) -> dict[str, Any]:
    """The trainer's row of the thread table."""
    return {"name": "MainThread", "role": "trainer", **shares}


def lines(*made: tuple[str, str, str, str, int, float]) -> pd.DataFrame:
    """Lines as (stage, role, thread, function, line, share) of train.py."""
    return rows(
        "lines",
        [
            {
                "stage": stage,
                "role": role,
                "thread": thread,
                "function": function,
                "file": "/home/u/train.py",
                "line": line,
                "share": share,
            }
            for stage, role, thread, function, line, share in made
        ],
    )


def kinds(findings: Sequence[Finding]) -> list[str]:
    """The kinds, in order."""
    return [finding.kind for finding in findings]


def only(findings: Sequence[Finding], kind: str) -> Finding:
    """The one finding of that kind."""
    (finding,) = [finding for finding in findings if finding.kind == kind]
    return finding


def socket_loop(share: float = 0.62) -> Analysis:
    """A loop that waits for a socket in `load`."""
    return loop_of(
        {
            ("load", "network"): share,
            ("load", "python"): 0.02,
            ("forward", "native"): 0.98 - share,
        },
        lines=lines(
            ("load", "trainer", "MainThread", "read_rows", 14, 0.9),
            ("load", "trainer", "MainThread", "load_batch", 20, 0.08),
            ("load", "trainer", "MainThread", "noise", 21, 0.02),
        ),
        waited_on=rows(
            "waited_on",
            [
                {
                    "stage": "load",
                    "role": "trainer",
                    "cause": "network",
                    "syscall": "recvfrom",
                    "what": what,
                    "ms_per_step": ms,
                }
                for what, ms in [("", 70.0), ("10.0.0.7:5000", 61.0), ("x:1", 1.0)]
            ],
        ),
    )


def gil_loop() -> Analysis:
    """Augment threads hold the GIL while the trainer's forward waits."""
    waits = [
        ("augment-1", 0.30, "augment", 31),
        ("augment-1", 0.10, "", 0),
        ("augment-2", 0.05, "augment", 31),
    ]
    return loop_of(
        {
            ("forward", "gil"): 0.45,
            ("load", "gil"): 0.05,
            ("forward", "python"): 0.25,
            ("forward", "native"): 0.25,
        },
        gil_waits=rows(
            "gil_waits",
            [
                {
                    "stage": "forward",
                    "role": "trainer",
                    "holder_thread": thread,
                    "holder_tid": 7,
                    "holder_function": function,
                    "holder_file": "/home/u/train.py" if function else "",
                    "holder_line": line,
                    "share": share,
                }
                for thread, share, function, line in waits
            ],
        ),
        handovers_per_s=190.0,
    )


def starved(producer: Mapping[str, Any], stage: str = "load") -> Analysis:
    """A trainer in a queue's lock beside one producer thread."""
    return loop_of(
        {(stage, "lock"): 0.8, ("forward", "native"): 0.2},
        threads=threads(trainer_thread(lock=0.8, native=0.2), producer),
        lines=lines(
            (stage, "trainer", "MainThread", "get", 40, 1.0),
            ("load", "loader", "producer", "produce", 30, 0.9),
        ),
    )


def crowd(count: int, foreign_load: float = 0.0) -> Analysis:
    """A trainer that queues for one of two cores beside `count` native threads."""
    helpers = [
        {"name": f"metrics-{n}", "role": "other", "native": 0.5, "runqueue": 0.5}
        for n in range(count)
    ]
    return loop_of(
        {("forward", "runqueue"): 0.45, ("forward", "native"): 0.55},
        threads=threads(trainer_thread(native=0.55, runqueue=0.45), *helpers),
        cores=2,
        environment={"foreign_load": foreign_load},
    )
