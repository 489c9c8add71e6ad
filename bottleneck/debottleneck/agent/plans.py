"""What the pass over loops says of each: its statements, what may change in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from debottleneck.agent.dataflow import Flow, Module


@dataclass(frozen=True)
class Statement:
    """A statement that is marked.

    Attributes:
        text: As written, on one line.
        line: Its first line.
        end: Its last line; of a compound statement that of its header.
        flow: What it reads and writes.
        under: What the conditions read under which it runs.
    """

    text: str
    line: int
    end: int
    flow: Flow
    under: frozenset[str] = frozenset()


@dataclass
class LoopPlan:
    """A loop, or a function that is opened, with the statements marked in it.

    Attributes:
        text: The loop's header as written, or the function's qualified name.
        line: Where it begins.
        end: Its last line.
        placeholder: Stands for its point in the code.
        rows: Its own statements, not those of loops in it. The first one is the
            loop's iterable or condition.
        items: Names of what a `for` loop goes over, counters aside.
        flat: What its other copy consists of, see `copies`.
    """

    text: str
    line: int
    end: int
    placeholder: str
    rows: list[Statement] = field(default_factory=list)
    items: frozenset[str] = frozenset()
    flat: object = None


@dataclass(frozen=True)
class ChangePlan:
    """A statement that changes or replaces what it reads: a parameter, perhaps.

    Attributes:
        placeholder: Stands for its point in the code.
        path: Attributes that lead there from the name that it is looked for at.
    """

    placeholder: str
    path: tuple[str, ...]


@dataclass
class Prepared:
    """What was made of one module."""

    module: Module = field(default_factory=Module)
    loops: list[LoopPlan] = field(default_factory=list)
    changes: list[ChangePlan] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.loops or self.changes)
