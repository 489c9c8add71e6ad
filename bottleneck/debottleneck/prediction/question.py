"""What if: more cores, no GIL, a faster source, a stage for free."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from debottleneck.errors import UsageError
from debottleneck.prediction.demand import Demand, Part, Producer
from debottleneck.recording.machine import Machine
from debottleneck.words import STAGES

FREE_THREADED = 1.08
"""Python code in a free-threaded interpreter takes so many times as long: "roughly
5-10 %" ("What's New In Python 3.14"); in 3.13 it was 1.4."""


@dataclass(frozen=True)
class Question:
    """What is assumed to be otherwise than in the recording.

    Attributes:
        cores: So many cores; None for as many as there were.
        no_gil: A free-threaded interpreter.
        source_speed: Waiting for the outside takes 1 / so long.
        source_limit: The source serves so many at once; 0 for any number.
        free: Stages, or rows that are lines, which take no time.
        below: Rows of what those lines call, likewise; see `of_rows`.
    """

    cores: float | None = None
    no_gil: bool = False
    source_speed: float = 1.0
    source_limit: int = 0
    free: tuple[str, ...] = ()
    below: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: One is out of range, or there is no such stage.
        """
        if self.cores is not None and not 0 < self.cores <= 4096:
            raise UsageError("--cores must be between 1 and 4096")
        if not 0 < self.source_speed < 1e6:
            raise UsageError("--source-speed must be positive", "2 is twice as fast")
        if self.source_limit < 0:
            raise UsageError("--source-limit must not be negative")
        words = {name for name in self.free if ":" not in name}
        if unknown := sorted(words - set(STAGES)):
            raise UsageError(
                f"--free {unknown[0]!r} is no stage", f"use one of {', '.join(STAGES)}"
            )

    def of_rows(self, rows: pd.DataFrame) -> Question:
        """The same with all that is free together with lines.

        Raises:
            UsageError: There is no such line among them.
        """
        known = set(rows["row"])
        if unknown := sorted(set(self.free) - known - set(STAGES)):
            there = f"use one of {', '.join(sorted(known))}" if known else ""
            raise UsageError(f"--free {unknown[0]!r} is no row of this run", there)
        free = set(self.free)
        for row in rows.itertuples(index=False):
            if row.parent in free:
                free.add(row.row)
        return replace(self, below=tuple(sorted(free - set(self.free))))

    @property
    def text(self) -> str:
        """As a person would say it, "" for nothing."""
        said = []
        if self.cores is not None:
            said.append(f"{self.cores:g} cores")
        if self.no_gil:
            said.append("no GIL (free-threaded Python)")
        if self.source_speed != 1:
            said.append(f"a source {self.source_speed:g} times as fast")
        if self.source_limit:
            said.append(f"a source that serves {self.source_limit} at once")
        said += [f"`{stage}` for free" for stage in self.free]
        return ", ".join(said)

    def machine(self, machine: Machine) -> Machine:
        """The machine, so changed."""
        cores = machine.cores if self.cores is None else self.cores
        limit = self.source_limit or machine.source_limit
        gil = machine.gil and not self.no_gil
        return replace(machine, cores=cores, gil=gil, source_limit=limit)

    def demand(self, demand: Demand) -> Demand:
        """The loop, so changed."""
        if self.source_speed == 1 and not self.free and not self.no_gil:
            return demand
        gone = {*self.free, *self.below}
        steps = tuple(
            tuple(self._part(part) for part in step if part.stage not in gone)
            for step in demand.steps
        )
        producers = tuple(
            Producer(self._part(producer.work), producer.apart)
            for producer in demand.producers
        )
        return replace(demand, steps=steps, producers=producers)

    def _part(self, part: Part) -> Part:
        python = part.python * (FREE_THREADED if self.no_gil else 1.0)
        return replace(part, outside=part.outside / self.source_speed, python=python)


AS_IT_IS = Question()
