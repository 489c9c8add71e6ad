"""What the agent and the tool state in raw files, as far as it is read again."""

from __future__ import annotations

from typing import Annotated, TypedDict

from debottleneck.recording import spool
from debottleneck.recording.checked import Between, OneOf
from debottleneck.recording.ranks import Meeting, Rank
from debottleneck.recording.recording import (
    Delayed,
    DeviceStep,
    Loader,
    OptimizerForms,
    Planned,
    SlowItem,
)
from debottleneck.recording.tables import Id, Time
from debottleneck.words import LINE, SIDES, STAGES, STEP


class Begun(TypedDict):
    """What the tool told the agent, as far as it is read again."""

    command: list[str]
    target: str


class Agent(TypedDict):
    """What the agent stated of its process, likewise."""

    pid: Id
    main_tid: Id


Site = Annotated[int, Between(0, 2**29 - 1)]


class SiteLine(TypedDict):
    """A line of the sites' file; the loop's event says `side` anew."""

    site: Site
    stage: Annotated[str, OneOf((*STAGES, STEP, LINE))]
    name: str
    file: str
    line: Id
    kind: str
    end: Id
    within: Annotated[int, Between(-1, 2**29 - 1)]
    side: Annotated[str, OneOf(SIDES)]


class Event(TypedDict):
    """A line of the events' file, of whatever kind."""

    event: str


class FunctionsWindow(Event):
    """A window of yappi: ident, thread, function, file, line, calls, self, total."""

    clock: Annotated[str, OneOf(("wall", "cpu"))]
    start_ns: Time
    end_ns: Time
    rows: list[tuple[int, str, str, str, Id, Id, int, int]]


class LearningBlock(Event):
    """Time in which the agent learned loops, or opened functions."""

    kind: Annotated[str, OneOf((spool.LEARNING, spool.PLANNING))]
    start_ns: Time
    end_ns: Time


class LoopEvent(TypedDict):
    """A line of the events' file: the loop that was chosen, the others, sides."""

    event: Annotated[str, OneOf((spool.LOOP,))]
    site: Site
    tid: Id
    why: str
    others: list[Site]
    sides: list[tuple[Site, Annotated[str, OneOf(SIDES)]]]


class Forked(Event):
    """A child was forked where its parent's stack had so many frames."""

    depth: Id


class WakesEvent(Event):
    """A thread was seen, some times, to wake another that waits for a condition."""

    tid: Id
    waiter: Id


class LoadersEnded(Event):
    """Workers of a DataLoader were ended."""

    pids: tuple[Id, ...]
    t_ns: Time


class Stated(Event, total=False):
    """Something that could not be done."""

    part: str
    what: str
    why: str


FAILURES = ("failure", "functions-refused", "stage-missing")
EVENTS = {
    **dict.fromkeys((*FAILURES, spool.NO_IMPORT), Stated),
    "plan": Planned,
    "functions": FunctionsWindow,
    "block": LearningBlock,
    spool.DELAYED: Delayed,
    spool.WAKES: WakesEvent,
    spool.FORKED: Forked,
    spool.LOADER: Loader,
    spool.LOADER_ENDED: LoadersEnded,
    spool.SLOW_ITEM: SlowItem,
    spool.OPTIMIZER: OptimizerForms,
    spool.DEVICE: DeviceStep,
    spool.RANK: Rank,
    spool.MET: Meeting,
}
