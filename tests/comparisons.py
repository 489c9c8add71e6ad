"""Hand-made comparisons of scripts that never ran, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import examples
import numpy as np
import pandas as pd

from debottleneck.analysis.result import Analysis, Verdict
from debottleneck.recording.environment import Difference
from debottleneck.recording.recording import typed
from debottleneck.report.words.comparison import labels
from debottleneck.strategies.spec import parse
from debottleneck.trials import result, sides
from debottleneck.trials.entrants import settings_of
from debottleneck.trials.result import Comparison, Interval, Predicted, Trial
from debottleneck.trials.save import GATE_ROUND, Measurements


def trial(
    spec: str,
    verdict: str,
    ratio: tuple[float, float, float] | None = None,
    numbers: str = "same",
    plain_ms: float = 185.5,
    **more: object,
) -> Trial:
    """One row; its step follows from the plain one and the ratio."""
    strategies = parse(spec if "<" not in spec else "prefetch")
    names = "+".join(strategy.name for strategy in strategies)
    made = Trial(names, settings_of(strategies), spec, verdict, numbers=numbers)
    if ratio is not None:
        step_ms = plain_ms / ratio[0]
        rest = {"rounds": 5, "step_ms": step_ms, "speedup": Interval(*ratio)}
        made = replace(made, **rest, cpu_ms=0.45 * plain_ms, memory_mb=38.2)
    return replace(made, **more)


def guess(
    ratio: tuple[float, float, float], limit: str = "", plain_ms: float = 185.5
) -> Predicted:
    """A prediction; its steps follow from the plain one and the ratios."""
    value, low, high = ratio
    steps = (round(plain_ms / each, 1) for each in (value, high, low))
    return Predicted(*steps, *ratio, limit)


def faster() -> Comparison:
    """Prefetch wins; two rows do not apply, one changes the numbers."""
    best = "prefetch:workers=4,depth=8"
    return Comparison(
        command=("train.py", "--epochs", "3"),
        created="2026-11-20T09:30:00Z",
        baseline_ms=Interval(185.5, 181.9, 189.1),
        baseline_memory_mb=412.0,
        baseline_cpu_ms=84.1,
        rounds=5,
        steps=60,
        trials=(
            trial(
                best,
                result.FASTER,
                (2.16, 2.09, 2.22),
                did=("fetched 296 batches ahead, dropped 2",),
                predicted=guess((2.11, 1.94, 2.29), "limited by the rest of the step"),
            ),
            trial("prefetch:workers=2", result.FASTER, (1.84, 1.79, 1.9)),
            trial(
                "parallel-update:workers=2", result.SAME_SPEED, (1.004, 0.991, 1.018)
            ),
            trial(
                "prefetch:workers=4,where=process+parallel-update:workers=2",
                result.SLOWER,
                (0.81, 0.77, 0.86),
                numbers="equal",
                memory_mb=1480.0,
            ),
            trial(
                "parallel-forward:workers=2",
                result.DIFFERENT,
                (1.2, 1.1, 1.3),
                "different",
                why="numbers first differ in step 3, forward: 0.25 instead of 0.24",
                rounds=1,
            ),
            trial(
                "parallel-forward",
                result.NOT_APPLICABLE,
                numbers="unverified",
                why="your layers feed each other: forward of layer 2 reads the output "
                "of layer 1",
            ),
        ),
        best=best,
        keep=(
            "from debottleneck import prefetch",
            "",
            "for batch in prefetch(load_batch, workers=4, depth=8, count=STEPS):",
        ),
        run=f"bottleneck run --strategy {best} train.py --epochs 3",
        notes=("the machine was busy with other work in 1 of 5 rounds",),
        environment={"cores": 8, "python": "3.11.9"},
    )


def nothing() -> Comparison:
    """A loop that no strategy helps."""
    return replace(
        faster(),
        trials=(
            trial("prefetch:workers=2", result.SAME_SPEED, (1.01, 0.98, 1.029)),
            trial("parallel-update", result.SLOWER, (0.93, 0.9, 0.96)),
        ),
        best="",
        keep=(),
        run="",
        notes=(),
    )


def predicted() -> Comparison:
    """Everything was predicted: one well, one not, and two were not even tried."""
    best, update = "prefetch:workers=4", "parallel-update:workers=2"
    slower = "threads would make it slower: the GIL changes hands between 3 threads"
    untried = partial(trial, verdict=result.SKIPPED, numbers="unverified")
    return replace(
        faster(),
        trials=(
            trial(
                best,
                result.FASTER,
                (1.52, 1.44, 1.6),
                did=("fetched 296 batches ahead",),
                predicted=guess((1.56, 1.42, 1.71), "limited by 2 cores"),
            ),
            trial(
                update,
                result.SLOWER,
                (0.91, 0.88, 0.94),
                predicted=guess((1.06, 1.0, 1.12), "limited by the rest of the step"),
            ),
            untried(
                "prefetch:workers=2,where=process",
                predicted=guess((1.0, 0.95, 1.049)),
                why="predicted 1.00x (0.95 to 1.05); `--all` tries it nevertheless",
            ),
            untried(
                "parallel-forward",
                predicted=guess((0.69, 0.55, 0.87), slower),
                why=f"predicted 0.69x (0.55 to 0.87): {slower}; `--all` tries it "
                "nevertheless",
            ),
        ),
        best=best,
        run=f"bottleneck run --strategy {best} train.py --epochs 3",
        notes=(),
    )


def skipped() -> Comparison:
    """No candidate was predicted to gain anything, so nothing was run."""
    rows = tuple(t for t in predicted().trials if t.verdict == result.SKIPPED)
    costs = {"baseline_memory_mb": None, "baseline_cpu_ms": None}
    return replace(nothing(), rounds=0, trials=rows, **costs)


def unverified() -> Comparison:
    """Fast, but the script differs from itself."""
    row = partial(
        trial,
        verdict=result.UNVERIFIED,
        numbers="unverified",
        why="your script differs from itself; set its seeds",
    )
    rows = (
        row("prefetch:workers=4", ratio=(2.6, 2.51, 2.7)),
        row("prefetch:workers=2", ratio=(1.9, 1.8, 2.0)),
    )
    return replace(nothing(), trials=rows, deterministic=False)


def interrupted() -> Comparison:
    """Ctrl-C in the first round, a crash, and a baseline that took very long."""
    return replace(
        nothing(),
        baseline_ms=Interval(12345.6, 12001.2, 12701.9),
        baseline_cpu_ms=98765.4,
        baseline_memory_mb=None,
        rounds=1,
        trials=(
            trial(
                "parallel-update",
                result.FAILED,
                numbers="unverified",
                why="exit code 1: ZeroDivisionError, see logs/parallel-update-1.log",
            ),
            trial("prefetch:workers=8", result.UNDECIDED, numbers="unverified"),
        ),
        notes=("interrupted: only what was measured is shown",),
    )


def slow_machine() -> Comparison:
    """Numbers so wide that a column has to go at 80 characters."""
    return replace(
        interrupted(),
        rounds=5,
        trials=(
            trial(
                "parallel-forward:workers=16+parallel-update:workers=16",
                result.FASTER,
                (13.45, 12.91, 14.02),
                plain_ms=12345.6,
                memory_mb=12345.0,
            ),
            trial(
                "prefetch:workers=8",
                result.UNVERIFIED,
                (1.0021, 1.0004, 1.0101),
                "unverified",
                plain_ms=12345.6,
                why="its outputs were too large to compare",
            ),
            trial("prefetch", result.DIFFERENT, numbers="different"),
        ),
        best="parallel-forward:workers=16+parallel-update:workers=16",
        notes=(),
    )


def hostile() -> Comparison:
    """Markup and control characters wherever a text may stand."""
    evil = examples.EVIL
    spec = f"{evil}:workers=2"
    return replace(
        faster(),
        command=("train.py", evil, "a\nb\x07"),
        trials=(
            trial(
                spec,
                result.FASTER,
                (2.0, 1.9, 2.1),
                why=f"{evil}\x1b[2J{{{{ 7 * 7 }}}}",
                did=(evil,),
            ),
        ),
        best=spec,
        keep=(evil, "b\x1b[31m"),
        run=f"bottleneck run '{evil}'",
        notes=(evil,),
        environment={evil: {evil: evil}},
    )


def recorded() -> Comparison:
    """Saved recordings: one is faster than the first, one like it, one slower."""
    why = "recordings hold no outputs, so the numbers were not compared"
    rest = {"why": why, "numbers": "unverified", "rounds": 1}
    rest |= {"memory_mb": None, "cpu_ms": None, "settings": {}}
    rows = (
        ("with-threads", result.FASTER, (2.1, 1.99, 2.22), ("ran with prefetch",)),
        ("tuesday/baseline", result.UNDECIDED, (1.01, 0.9, 1.13), ()),
        ("compare-train-20261120-093000/best", result.SLOWER, (0.8, 0.7, 0.9), ()),
    )
    return replace(
        nothing(),
        baseline_ms=Interval(185.5, 181.9, 189.1),
        baseline_cpu_ms=None,
        baseline_memory_mb=None,
        rounds=1,
        trials=tuple(
            replace(trial("prefetch", word, ratio, **rest), spec=name, did=did)
            for name, word, ratio, did in rows
        ),
        best="with-threads",
        recorded=True,
        baseline="slow-run",
        notes=("each was run once",),
    )


def with_first(whole: Comparison, **changes: object) -> Comparison:
    """The comparison with its first row changed."""
    first, *others = whole.trials
    return replace(whole, trials=(replace(first, **changes), *others))


def after() -> Analysis:
    """The loop of `examples.input_bound` with its batches fetched by two threads."""
    plan = examples.Plan(
        stages={
            "load": {"lock": 3.1, "python": 0.4},
            "augment": {"python": 6.5, "native": 3.2},
            "forward": {"native": 33.9, "python": 1.4, "gil": 0.8},
            "loss": {"native": 0.8, "python": 0.3},
            "backward": {"native": 26.3, "python": 0.8, "lock": 1.2},
            "update": {"python": 4.5, "native": 1.9, "gil": 0.2},
            "other": {"python": 0.9, "disk": 0.4},
        },
        threads=tuple(
            examples.Thread(
                4200 + i,
                f"bottleneck-prefetch-{i}",
                "loader",
                {"network": 0.9, "python": 0.1},
                "load",
            )
            for i in range(2)
        ),
    )
    verdict = Verdict(
        "The loop computes: forward takes 43 % of each step.",
        "forward: forward train.py:60",
        "Nothing waits; only faster arithmetic helps.",
    )
    return replace(examples.build(plan), verdict=verdict)


def measured(whole: Comparison) -> Measurements:
    """The gate's runs with their losses, and every trial's steps."""
    random = np.random.default_rng(11)
    plain = whole.baseline_ms.value if whole.baseline_ms else 100.0
    timed = {"": plain} | {t.spec: t.step_ms for t in whole.trials if t.step_ms}
    rows = [
        {"spec": spec, "round": round, "mean_ms": mean * random.lognormal(0, 0.02)}
        for round in range(GATE_ROUND, whole.rounds)
        for spec, mean in timed.items()
    ]
    trials = pd.DataFrame(rows).assign(
        trial=range(len(rows)), steps=whole.steps, failure="", engaged=4
    )
    steps = pd.DataFrame(
        {
            "trial": np.repeat(trials.trial.to_numpy(), whole.steps),
            "step": np.tile(np.arange(whole.steps), len(rows)),
            "wall_ns": np.repeat(trials.mean_ms.to_numpy(), whole.steps)
            * random.lognormal(0, 0.05, whole.steps * len(rows))
            * 1e6,
        }
    ).astype("int64")
    curves = [
        (spec, step + 1, 2.3 * 0.97**step + 0.02 * (number == 2) * (step > 2))
        for number, spec in enumerate(timed)
        for step in range(30)
    ]
    losses = pd.DataFrame(curves, columns=["spec", "step", "value"])
    return Measurements(trials, steps, losses)


CODE = """\
def read_rows(connection, count):
    rows = []
    while len(rows) < count:
        rows.append(connection.recv())
    return rows


def load_batch(index):
    \"\"\"The rows of one batch, from the storage server.\"\"\"
    if index % 100 == 0:
        check(connection)
    rows = read_rows(connection, BATCH)
    return np.stack(rows)
"""
"""What stands from line 30 on in the file that `examples` loads with."""


def with_sources(
    analysis: Analysis, code: str = CODE, first: int = 30, file: str = examples.DATA
) -> Analysis:
    """The analysis of a recording that kept lines of the user's file."""
    lines = code.splitlines()
    numbers = range(first, first + len(lines))
    table = pd.DataFrame({"file": file, "line": numbers, "text": lines})
    kept = replace(analysis.recording, sources=typed("sources", table))
    return replace(analysis, recording=kept)


def shown(
    whole: Comparison,
    *analyses: Analysis,
    trials: bool = False,
    differences: Sequence[Difference] = (),
) -> sides.Sides:
    """What stands behind a comparison whose recordings were never saved."""
    named = zip(labels(whole).items(), analyses, strict=False)
    both = tuple(sides.Side(id, label, analysis) for (id, label), analysis in named)
    runs = measured(whole) if trials else Measurements()
    return sides.Sides(both, (), runs, tuple(differences))


COMPARISONS: Mapping[str, Callable[[], Comparison]] = {
    "faster": faster,
    "nothing": nothing,
    "predicted": predicted,
    "skipped": skipped,
    "unverified": unverified,
    "interrupted": interrupted,
    "slow_machine": slow_machine,
    "hostile": hostile,
    "recorded": recorded,
}
