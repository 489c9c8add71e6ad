"""The rows of one recording's tables: its stages, then the lines of the user's code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.frames import Ints, bounds, holding
from debottleneck.words import BETWEEN_STAGES, OTHER, STAGES


@dataclass(frozen=True)
class RowNames:
    """What each moment of a thread belongs to one of.

    Attributes:
        names: Number of a row -> its name: the stages as in `words.STAGES`, which have
            the numbers of `loop.CODE`, then lines in the order of the step.
        number: The same, the other way round.
        opened: (rows,) whether it is a line of a function that another row calls.
    """

    names: NDArray[np.object_]
    number: Mapping[str, int]
    opened: NDArray[np.bool_]

    @classmethod
    def of(cls, lines: pd.DataFrame) -> RowNames:
        """Of a table `rows`."""
        names = [*STAGES, *(str(row) for row in lines["row"])]
        numbers = {name: number for number, name in enumerate(names)}
        opened = np.array([False] * len(STAGES) + [*(lines["parent"] != "")], np.bool_)
        return cls(np.array(names, dtype=object), numbers, opened)

    def __len__(self) -> int:
        return len(self.names)

    def numbers(self, names: pd.Series) -> Ints:
        """The number of each; names are few, rows of a table are many."""
        place, distinct = pd.factorize(names)
        known = [self.number[str(name)] for name in distinct]
        numbers: Ints = np.array(known, np.int64)[place]
        return numbers


def as_steps_pass(
    lines: pd.DataFrame,
    segments: pd.DataFrame,
    steps: pd.DataFrame,
    within: Mapping[str, str],
) -> tuple[str, ...]:
    """Rows as they are shown: as steps come to them, the rest of the step at the end.

    Lines keep the order of the code, those of a called function follow what calls it;
    a stage stands where most steps first enter it, below the row that `within` names.
    Without lines stages have their usual order.
    """
    if lines.empty or steps.empty:
        return (*lines["row"], *STAGES)
    start, _ = bounds(segments)
    step = holding(*bounds(steps), start)
    into = start - steps["start_ns"].to_numpy(np.int64)[step]
    first = segments.assign(step=step, into=into)[step >= 0]
    first = first.groupby(["stage", "step"])["into"].min()
    reached = first.groupby(level="stage").median().to_dict()
    for row, parent in zip(lines["row"][::-1], lines["parent"][::-1], strict=True):
        reached[parent] = min(reached.get(name, np.inf) for name in (row, parent))
    below = defaultdict[str, list[tuple[float, str]]](list)
    for row, parent in zip(lines["row"], lines["parent"], strict=True):
        last = below[parent][-1][0] if below[parent] else 0.0
        below[parent].append((max(last, reached.get(row, last)), row))
    for stage in STAGES:
        place = np.inf if stage in (*BETWEEN_STAGES, OTHER) else reached.get(stage)
        parent = within.get(stage, OTHER)
        below[parent if parent != OTHER else ""].append(
            (np.inf if place is None else place, stage)
        )
    order: list[str] = []
    waiting = [""]
    while waiting:
        order.append(waiting.pop())
        rows = sorted(below[order[-1]], key=lambda row: row[0])
        waiting += [row for _, row in reversed(rows)]
    return tuple(order[1:])


def file_names(files: Iterable[str]) -> dict[str, str]:
    """What files are called: by name, and with their folder where two share it."""
    paths = {str(file): PurePath(str(file)) for file in files}
    counts = Counter(path.name for path in paths.values())
    return {
        file: path.name if counts[path.name] == 1 else "/".join(path.parts[-2:])
        for file, path in paths.items()
    }
