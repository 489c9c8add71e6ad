"""`Plan`: what is done with a loop, or why nothing is; made once, quoted everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from debottleneck.strategies.spec import AUTO, PREFETCH_WORKERS, Strategy

ORDER, HEAVY, STAYS, TURNS = "order", "heavy", "stays", "turns"
"""Where a piece runs: ahead in order, ahead by workers, in the loop, side by side."""


class Reason(str):
    """Why something stays as it is, a clause, with the edit that would let it act.

    Attributes:
        edit: Of the script, as an imperative clause; "" where none is known to do.
    """

    edit: str

    def __new__(cls, text: str = "", edit: str = "") -> Reason:
        """As the one says it who decides."""
        made = super().__new__(cls, text)
        made.edit = edit
        return made

    @classmethod
    def of(cls, text: str) -> Reason:
        """The same; without an edit where nobody said one."""
        return text if isinstance(text, cls) else cls(text)

    @classmethod
    def first(cls, reasons: Sequence[str]) -> Reason:
        """The first of several; its edit would not do where there are others."""
        found = [cls.of(reason) for reason in reasons if reason] or [cls()]
        return found[0] if len(found) == 1 else cls(found[0])


def handed(name: str) -> str:
    """The edit of a function that uses a name which the loop sets."""
    return f"hand {name} to that function as an argument"


ACTS = Reason()
NO_GAIN = Reason("there is nothing to gain")
DRAWN = "what is drawn in the process is brought back"

BY_ITSELF = Reason("its DataLoader can load ahead itself: `dataloader:workers=2`")
"""Why a loop over one of torch is not rewritten."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        workers: Threads or processes, None to choose.
        depth: Items ahead, None to choose.
        process: Whether processes are to do it.
    """

    workers: int | None
    depth: int | None
    process: bool

    @classmethod
    def of(cls, strategy: Strategy) -> Wanted:
        """From a strategy as it was written."""
        automatic = strategy.settings.get("workers") == AUTO
        workers = None if automatic else strategy.number("workers", PREFETCH_WORKERS)
        depth = strategy.number("depth", 0) or None
        process = strategy.word("where", "thread") == "process"
        return cls(workers, depth, process)


@dataclass(frozen=True)
class Piece:
    """A part of the loop's body, with what it takes.

    Attributes:
        line: Where the loop's own statement begins that it is of.
        side: Where it runs.
        ns: How long it takes, a step.
        cpu_ns: How long of that it is on a core.
        name: What it calls, the last word of it; "" for nothing.
        stages: Stages of training that it calls.
    """

    line: int
    side: str
    ns: float
    cpu_ns: float
    name: str = ""
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """How one loop is rewritten.

    Attributes:
        strategy: A word of `spec.STRATEGIES`.
        file: Where the loop stands.
        line: Of its `for` or `while`.
        order: Flat lines that run ahead in order, in one thread.
        heavy: Flat lines that run ahead in `workers` threads or processes.
        places: The user's lines that run ahead, in order; heavy ones last.
        ahead_ns: Time of all that runs ahead, a step.
        heavy_ns: The part of it that is heavy.
        stays_ns: Time of what stays, a step.
        workers: Threads or processes for the heavy lines.
        where: "thread" or "process".
        depth: Items that are ready or under way, at most.
        reason: Why the loop stays as it is; "" if it is rewritten. With an edit the
            rest is the plan of the script so edited.
        pieces: All of the loop, by what happens to it.
        apart: Whether processes can do what runs ahead.
        size: Bytes that go from what runs ahead to what stays, a step.
        turns: Turns that run side by side, of one entry of the loop.
        entries: How often that loop is entered, a step.
        around: Loops that it is entered in, each the lines of its header and of the
            statement that does.
        worth: Flat lines ahead that take time, -1 for the loop's own iterable.
        unwritten: Why it cannot be written in lines of the library; "" if it can.
        feeds: Whether it runs in a thread of the script's own, which hands over items.
        closed: The plan without what it opens of the functions that are called.
    """

    strategy: str
    file: str
    line: int
    order: tuple[int, ...] = ()
    heavy: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    ahead_ns: float = 0.0
    heavy_ns: float = 0.0
    stays_ns: float = 0.0
    workers: int = 1
    where: str = "thread"
    depth: int = 1
    reason: Reason = ACTS
    pieces: tuple[Piece, ...] = ()
    apart: bool = True
    size: int = 0
    turns: int = 0
    entries: float = 0.0
    around: tuple[tuple[int, int], ...] = ()
    worth: tuple[int, ...] = ()
    unwritten: str = ""
    feeds: bool = False
    closed: Plan | None = None

    @property
    def in_order_ns(self) -> float:
        """Time of what runs ahead in one thread, a step."""
        return self.ahead_ns - self.heavy_ns

    @property
    def bound_ns(self) -> float:
        """The shortest step that it allows."""
        return max(
            self.in_order_ns, self.ahead_ns / max(self.workers, 1), self.stays_ns
        )

    def as_json(self) -> dict[str, Any]:
        """For the tool, which reads it from the notes."""
        return {**asdict(self), "edit": self.reason.edit}
