"""The step itself: waiting, update-, python- and compute-bound, between-steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.inputs import io_action
from debottleneck.analysis.rules.measures import (
    IO_CAUSES,
    Cost,
    calls,
    cost,
    fills,
    input_rows,
    main_stage,
    most_called,
    stage_cost,
    trainer_stages,
    uses_torch,
    waited_on,
    waits_in_library,
    where,
    work_lines,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    called,
    finding,
    how_to_step,
    inside,
    on,
    percent,
    spends,
    spot,
    waiting_for,
)
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.words import CAUSES, OTHER

WORK_STAGES = ("forward", "loss", "backward", "update", OTHER)

COMPUTE_STAGES = ("forward", "loss", "backward")

FOR_OTHERS = ("lock", "collective")
"""Waits that are no matter of where data come from."""

_KINDS = {"collective": "collective-wait"}
"""Of waits that no strategy acts on."""

HELPERS = ("pool", "autograd")


def waiting(analysis: Analysis) -> Iterator[Finding]:
    """Rows that wait for the outside; those that should compute for a lock, too.

    Without steps any row should.
    """
    inputs: tuple[str, ...] = ()
    stages = trainer_stages(analysis)
    if analysis.loop.found:
        inputs, stages = input_rows(analysis), (*WORK_STAGES, *work_lines(analysis))
    for stage, cause in product((*inputs, *stages), (*IO_CAUSES, *FOR_OTHERS)):
        amount = cost(analysis, [stage], [cause], THRESHOLDS.wait_share)
        feeds = stage in inputs
        if amount is None or (cause in FOR_OTHERS and feeds):
            continue
        if cause == "lock" and _helpers_compute(analysis, stage, amount):
            continue
        what = waited_on(analysis, stage, cause)
        often = calls(analysis, stage)
        by_hand = io_action if feeds else _wait_action
        doing = spends(analysis, amount, waiting_for(cause, what))
        yield finding(
            analysis,
            "input-bound-io" if feeds else _KINDS.get(cause, "waiting"),
            amount,
            stage=stage,
            cause=cause,
            summary=f"{doing}{inside(analysis, stage)}.",
            action=by_hand(analysis, stage, cause),
            evidence={"waited_on": what, "calls_per_step": often},
        )


def _helpers_compute(analysis: Analysis, stage: str, amount: Cost) -> bool:
    """True when the lock is a barrier: pool or autograd threads compute meanwhile."""
    table = analysis.causes
    rows = table[
        table["role"].isin(HELPERS)
        & (table["stage"] == stage)
        & table["cause"].isin(["python", "native"])
    ]
    return float(rows["ms_per_step"].sum()) >= THRESHOLDS.dominant * amount.ms


def _wait_action(analysis: Analysis, stage: str, cause: str) -> str:
    often = calls(analysis, stage)
    if not analysis.loop.found:
        return f"Take that wait off the main thread. {how_to_step(analysis)}"
    if cause == "collective":
        return "Look at all ranks side by side: `bottleneck report` of their folder."
    if cause == "lock" and waits_in_library(analysis, stage):
        return (
            "Let it have fewer threads (OMP_NUM_THREADS), or more to do in each call."
        )
    if cause == "lock":
        return (
            "Find what wakes that wait, or holds that lock meanwhile, and for how long."
        )
    if stage in ("forward", "update") and often is not None and often >= 2:
        return (
            f"If the {often:.0f} calls of a step do not need each other's results, "
            "run them at once in threads."
        )
    if cause == "sleep":
        return "Remove the sleep, or do what it waits for in a thread beside the step."
    return "Move that wait out of the step: fetch it beforehand, or in a thread."


def update_bound(analysis: Analysis) -> Iterator[Finding]:
    """The update is Python that walks from parameter to parameter."""
    causes = ["python", "native"] if uses_torch(analysis) else ["python"]
    amount = cost(analysis, ["update"], causes, THRESHOLDS.update_share)
    part = fills(analysis, "update", causes)
    python = fills(analysis, "update", ["python"])
    if amount is None or part is None or part < THRESHOLDS.dominant:
        return
    if python is None or python < THRESHOLDS.update_python:
        return
    often = calls(analysis, "update")
    many = f", in {often:.0f} calls a step" if often and often >= 2 else ""
    lines = where(analysis, "update")
    work = DOING["python"] if len(causes) == 1 else "in Python and small kernels"
    doing = spends(analysis, amount, f"{work} in `update`")
    yield finding(
        analysis,
        "update-bound",
        amount,
        stage="update",
        cause="python",
        summary=f"{doing}{many}: work parameter by parameter.",
        action=_update_action(analysis),
        places=lines,
        evidence={"python_part_of_stage": python, "calls_per_step": often}
        | _called(analysis, lines),
    )


def _update_action(analysis: Analysis) -> str:
    for optimizer in analysis.recording.facts.optimizers:
        for form in [f for f in optimizer["offers"] if f not in optimizer["asked"]]:
            return f"Pass {form}=True to {optimizer['name']}."
    if uses_torch(analysis):
        return "Give the optimizer fewer and larger parameters, or update less often."
    return (
        "Update all parameters in one array operation: one flat array for them and one "
        "for each state."
    )


def _called(analysis: Analysis, lines: tuple[Where, ...]) -> dict[str, object]:
    most = most_called(analysis, lines[0].file) if lines else None
    return {"most_called": most[0], "most_called_calls": most[1]} if most else {}


def python_bound(analysis: Analysis) -> Iterator[Finding]:
    """Model code, a line, or code outside every stage, that is mostly Python."""
    for stage in (*COMPUTE_STAGES, *work_lines(analysis), OTHER):
        amount = cost(analysis, [stage], ["python"], THRESHOLDS.python_share)
        part = fills(analysis, stage, ["python"])
        if amount is not None and part is not None and part >= THRESHOLDS.dominant:
            yield _python(analysis, amount, stage, stage, part)
    stages = trainer_stages(analysis)
    whole = cost(analysis, stages, ["python"], THRESHOLDS.dominant)
    each = (
        cost(analysis, [row], ["python"], THRESHOLDS.python_share) for row in stages
    )
    if whole is not None and not any(each):
        most = main_stage(analysis, "python")
        yield _python(analysis, whole, "", most, whole.share)


def _python(
    analysis: Analysis, amount: Cost, stage: str, most: str, part: float
) -> Finding:
    """Of a row, or of the whole step, most of whose Python is in the row `most`."""
    lines = where(analysis, most)
    is_row = bool(lines) and stage.endswith(f":{lines[0].line}")
    place = f", most of it in {spot(lines[0])}" if lines and not is_row else ""
    code = spot(lines[0]) if lines else called(analysis, most)
    within = inside(analysis, stage) or ", spread over all of it"
    return finding(
        analysis,
        "python-bound",
        amount,
        stage=stage,
        cause="python",
        summary=f"{spends(analysis, amount, DOING['python'] + within)}{place}.",
        action=f"Do the work of {code} in array operations on whole batches, do it "
        "less often, or in another process.",
        places=lines,
        evidence={"python_part_of_stage": part} | _called(analysis, lines),
    )


def compute_bound(analysis: Analysis) -> Iterator[Finding]:
    """A line that computes for much of the step, or a stage for nearly all of it."""
    both, native = ["python", "native"], ["native"]
    lines = [(row, both, THRESHOLDS.python_share) for row in work_lines(analysis)]
    stages = [(row, native, THRESHOLDS.compute_share) for row in COMPUTE_STAGES]
    for row, causes, least in (*lines, *stages):
        amount = cost(analysis, [row], causes, least)
        part = fills(analysis, row, native)
        if amount is None or part is None:
            continue
        doing = spends(analysis, amount, f"computing{inside(analysis, row)}")
        kind = "native code" if part >= THRESHOLDS.dominant else "Python and native"
        yield finding(
            analysis,
            "compute-bound",
            amount,
            stage=row,
            cause="native",
            summary=f"{doing}, {kind}: the loop computes there, it does not wait.",
            action=f"Make {called(analysis, row)} cheaper: fewer or larger calls, a "
            "smaller model or type, a faster BLAS, or that work less often.",
            severity="" if causes == both else "low",
            evidence={"native_part_of_stage": part},
        )


def between_steps(analysis: Analysis) -> Iterator[Finding]:
    """Evaluation, checkpoints or logging take a large share of the loop."""
    for stage in _BETWEEN_ADVICE:
        amount = stage_cost(analysis, stage)
        if amount is None:
            continue
        queued = cost(analysis, [stage], ["runqueue"])
        running = amount.share - (queued.share if queued else 0.0)
        if running < THRESHOLDS.between_share:
            continue
        cause = _main_cause(analysis, stage, amount)
        mostly = f", mostly {DOING[cause]}" if cause else ""
        what = waited_on(analysis, stage, cause) if cause else ""
        doing = spends(analysis, amount, f"in `{stage}`")
        yield finding(
            analysis,
            "between-steps",
            amount,
            stage=stage,
            cause=cause,
            summary=f"{doing}, beside the training itself{mostly}{on(what)}.",
            action=_between_action(stage, amount.share),
            evidence={"waited_on": what},
        )


def _main_cause(analysis: Analysis, stage: str, total: Cost) -> str:
    for cause in CAUSES:
        amount = cost(analysis, [stage], [cause])
        if amount and amount.ms >= THRESHOLDS.dominant * total.ms:
            return cause
    return ""


def _between_action(stage: str, share: float) -> str:
    halved = percent(share / 2 / (1 - share / 2))
    advice = _BETWEEN_ADVICE[stage]
    return f"{advice}: half as often would leave it {halved} of the loop."


_BETWEEN_ADVICE = {
    "evaluate": "Evaluate less often, or on a part of the data",
    "checkpoint": "Write fewer checkpoints, or copy the state and write it in a thread",
    "log": "Log less often, or hand the records to a thread",
}
