"""A strategy as it is written -> the simulated loop with it, or why it cannot act."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass

from debottleneck.prediction.demand import Demand, Form
from debottleneck.prediction.engine import Gil, Thread
from debottleneck.prediction.parallel import Forward, Pool, Update
from debottleneck.prediction.prefetch import Ahead, Elements, Size
from debottleneck.prediction.programs import Feed, Handler, SimulatedLoop, threads
from debottleneck.recording.spool import API
from debottleneck.strategies.spec import (
    BUFFER,
    FORWARD,
    NO_LOAD,
    ONE_FORWARD,
    ONE_UPDATE,
    PREFETCH,
    SOURCE,
    UPDATE,
    VARIES,
    Strategies,
    Strategy,
    prefetch_size,
)

TORCH_LOADER, TORCH_STEP = "torch DataLoader", "torch.optim."
TORCH_DEPTH = 2

MOST_WORKERS = 8
"""Threads of a parallel stage, unless more are asked for."""

TORCH_QUEUE = 20.0
"""Tensors through torch's own queue of a `DataLoader` cost the trainer this many times
a small message: each is opened and mapped anew (measured: 1.2 ms a batch of two)."""

NOT_SIMULATED = "torch's own form of the step, which only a trial can measure"
CHAIN = "no two forward calls of a step take the same arguments"
RETURNS = "an update returns a value, not None"
MARKED = "the script marks its load itself: there is no call to be made ahead"
BESIDE = "is called beside the load: have the load call it, and it is fetched ahead too"


@dataclass(frozen=True)
class Setup:
    """A loop with strategies, to be simulated.

    Attributes:
        threads: The trainer first.
        fill: Steps until what is ahead is full.
        burst: Steps whose batches come at once: only whole bursts are counted.
    """

    threads: list[Thread]
    fill: int
    burst: int


def setup(loop: SimulatedLoop, strategies: Strategies) -> Setup:
    """The simulated threads of a loop with these strategies.

    Args:
        loop: What is simulated.
        strategies: () for the loop as it is.
    """
    gil = loop.gil()
    apart = any(
        one.name == PREFETCH and one.word("where", "thread") == "process"
        for one in strategies
    )
    feed = Feed(loop, gil, moved=apart)
    handlers: list[Handler] = []
    fill, burst = 2, 1
    for strategy in strategies:
        if strategy.name == PREFETCH:
            handler, ahead = _prefetch(loop, gil, feed, strategy)
            fill, burst = fill + ahead, prefetch_size(strategy)[0]
            handlers += [handler] if handler else []
        else:
            handlers += _parallel(loop, gil, strategy)
    return Setup(threads(loop, gil, feed, handlers), fill, burst)


def _prefetch(
    loop: SimulatedLoop, gil: Gil | None, feed: Feed, strategy: Strategy
) -> tuple[Handler | None, int]:
    apart = strategy.word("where", "thread") == "process"
    producers = loop.demand.producers
    name, form = load_form(loop.demand)
    workers, depth = prefetch_size(strategy)
    if producers and apart:
        return None, len(producers)
    if name == TORCH_LOADER:
        workers = strategy.number("workers", 1)
        ahead = workers + strategy.number("depth", TORCH_DEPTH)
        received = TORCH_QUEUE if apart else 0.0
        size = Size(workers, ahead, apart, form.bytes, received)
        return Ahead(loop, gil, size), ahead
    if form.form == "elements":
        size = Size(workers, 1, apart, form.bytes)
        return Elements(loop, gil, size, max(form.size, 1)), 1
    if form.form in ("stream", "generator") or producers:
        size = Size(1, depth, apart, form.bytes)
        return Ahead(loop, gil, size, feed if producers else None), depth
    return Ahead(loop, gil, Size(workers, depth, apart, form.bytes)), depth


def _parallel(
    loop: SimulatedLoop, gil: Gil | None, strategy: Strategy
) -> list[Handler]:
    demand = loop.demand
    if strategy.name == FORWARD:
        calls = calls_of(demand, "forward")
        name, form = form_of(demand, "forward")
        size = form.size
        workers = strategy.number("workers", min(MOST_WORKERS, size or calls))
        pool = Pool(loop, gil, max(1, min(workers, size or calls) - 1))
        return [Forward(pool, name, size)]
    calls = calls_of(demand, "update")
    workers = strategy.number("workers", min(MOST_WORKERS, calls))
    return [Update(Pool(loop, gil, max(1, min(workers, calls) - 1)))]


def load_form(demand: Demand) -> tuple[str, Form]:
    """The name of what loads, most often, and how it is called."""
    names = Tally(part.name for part in demand.parts if part.stage == "load")
    name = names.most_common(1)[0][0] if names else ""
    return name, demand.forms.get(name, Form("", 0, 0))


def form_of(demand: Demand, stage: str) -> tuple[str, Form]:
    """The function of a stage whose calls' form is known, and the form."""
    names = {part.name for part in demand.parts if part.stage == stage}
    forms = [(name, demand.forms[name]) for name in names if name in demand.forms]
    return max(forms, key=lambda pair: pair[1].size, default=("", Form("", 0, 0)))


def simulated(demand: Demand, strategies: Strategies) -> bool:
    """Whether the loop with these strategies can be simulated.

    Of an optimizer's step nobody knows how long torch's own forms of it take.
    """
    optimizer = any(part.name.startswith(TORCH_STEP) for part in demand.parts)
    return not optimizer or all(strategy.name != UPDATE for strategy in strategies)


def calls_of(demand: Demand, stage: str) -> int:
    """Calls of a stage in a typical step."""
    counts = Tally(sum(part.stage == stage for part in step) for step in demand.steps)
    return counts.most_common(1)[0][0] if counts else 0


def why_not(demand: Demand, strategy: Strategy) -> str:
    """Why `compare` would find nothing to act on, "" if it may; from one recording."""
    if strategy.name == PREFETCH:
        return _no_prefetch(demand, strategy)
    if strategy.name == FORWARD:
        if calls_of(demand, "forward") < 2:
            return ONE_FORWARD
        return CHAIN if form_of(demand, "forward")[1].form == "chain" else ""
    if calls_of(demand, "update") < 2:
        return ONE_UPDATE
    return RETURNS if form_of(demand, "update")[1].form == "returns" else ""


def _no_prefetch(demand: Demand, strategy: Strategy) -> str:
    name, form = load_form(demand)
    if not name:
        return NO_LOAD
    apart = strategy.word("where", "thread") == "process"
    if apart and form.form == "stream" and not demand.producers:
        return f"{name}: {SOURCE}"
    if form.form == API:
        return MARKED
    reasons: Mapping[str, str] = {"varies": VARIES, "buffer": BUFFER}
    reason = reasons.get(form.form, "")
    beside = demand.inputs[1:]
    if not reason and beside:
        return f"`{beside[0]}` {BESIDE}"
    return f"{name}: {reason}" if reason else ""
