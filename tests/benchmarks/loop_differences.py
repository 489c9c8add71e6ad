"""Rows of a profile beside the lines of a stopwatch, and how far they are apart.

Rows are compared where both speak of the same lines: a stage takes all lines that call
one of its functions, an opened function's rows go with the row that calls it. What no
row names is compared with `other`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

OTHER = "other"
BETWEEN = ("evaluate", "checkpoint", "log")
MODULES = {"module": "torch.nn.Module.__call__", "loss module": "torch.nn loss module"}
"""PyTorch's modules as the stopwatch calls them -> as sites do."""

WHOLE = 0.98
"""Rows whose shares add up to this are the whole step: they contain those below."""

SELDOM = 0.9
"""A line that runs in fewer of the iterations does not belong to every step."""

Json = dict[str, Any]
Node = tuple[str, str | int]
"""("row", its name) or ("line", its number)."""


class Groups:
    """Rows and lines that speak of the same time."""

    def __init__(self) -> None:
        self.parents: dict[Node, Node] = {}

    def of(self, node: Node) -> Node:
        """The group's representative."""
        parent = self.parents.setdefault(node, node)
        return node if parent == node else self.of(parent)

    def join(self, one: Node, other: Node) -> None:
        """Both speak of the same time."""
        self.parents[self.of(one)] = self.of(other)

    def all(self) -> list[list[Node]]:
        """The groups' members."""
        groups: dict[Node, list[Node]] = {}
        for node in self.parents:
            groups.setdefault(self.of(node), []).append(node)
        return list(groups.values())


@dataclass(frozen=True)
class Difference:
    """Rows and the lines that they speak of; shares of the step."""

    rows: tuple[str, ...]
    lines: tuple[int, ...]
    found: float
    true: float

    @property
    def points(self) -> float:
        """By how much the shares differ, in percentage points."""
        return abs(self.found - self.true) * 100


def differences(profile: Json, watch: Json) -> list[Difference]:
    """What each row took of the step, as found and as the stopwatch has it."""
    shares = {OTHER: 0.0}
    for row in profile["stages"]:
        shares[row["stage"]] = shares.get(row["stage"], 0.0) + row["share"]
    rows = {row["row"]: row for row in profile.get("rows", []) if row["row"] in shares}
    tops = {name for name in shares if not rows.get(name, {}).get("parent")}
    if sum(shares[name] for name in tops) > WHOLE:
        shares = {name: shares[name] for name in tops}
    seconds = {int(line): s for line, s in watch["lines"].items()}
    groups = joined(shares, rows, profile["sites"], watch)
    total = sum(seconds.values())
    found = []
    for group in groups.all():
        names = tuple(str(name) for kind, name in group if kind == "row")
        lines = tuple(sorted(int(line) for kind, line in group if kind == "line"))
        share = sum(shares.get(name, 0.0) for name in names)
        true = sum(seconds[line] for line in lines) / total
        found.append(Difference(names, lines, share, true))
    return sorted(found, key=lambda difference: -difference.points)


def joined(
    shares: dict[str, float], rows: dict[str, Json], sites: list[Json], watch: Json
) -> Groups:
    """Which rows speak of which lines."""
    groups = Groups()
    for name in shares:
        groups.of(("row", name))
        parent = rows.get(name, {}).get("parent")
        if parent in shares:
            groups.join(("row", name), ("row", parent))
    stages = {name for name in shares if name != OTHER and not is_line(name, rows)}
    calls = {int(line): called for line, called in watch["calls"].items()}
    for line in map(int, watch["lines"]):
        owners = covering(line, shares, rows, watch)
        called = {
            stage
            for site in sites
            if (stage := site["stage"]) in stages
            and any(is_site(function, site) for function in calls.get(line, []))
        }
        if is_evaluation(line, called, shares, watch):
            called = {"evaluate"}
        between = called & set(BETWEEN)
        for owner in owners | (between or called) or {OTHER}:
            groups.join(("line", line), ("row", owner))
    for stage in stages:  # no line calls it
        if not any(kind == "line" for kind, _ in group_of(groups, ("row", stage))):
            groups.join(("row", stage), ("row", OTHER))
    return groups


def group_of(groups: Groups, node: Node) -> list[Node]:
    """The members of a node's group."""
    root = groups.of(node)
    return [one for one in list(groups.parents) if groups.of(one) == root]


def is_line(name: str, rows: dict[str, Json]) -> bool:
    """Whether a row is one by its lines: `train.py:17` or `train.py:22-25`."""
    return ":" in name and name in rows


def covering(
    line: int, shares: dict[str, float], rows: dict[str, Json], watch: Json
) -> set[str]:
    """Rows whose lines hold this one, the shortest of them, and those within it."""
    end = watch["ends"].get(str(line), line)
    near: dict[str, int] = {}
    within = set()
    for name in (name for name in shares if is_line(name, rows)):
        row = rows[name]
        if Path(row["file"]).name != Path(watch["file"]).name or row["parent"]:
            continue
        if row["line"] <= line <= row["end"]:
            near[name] = row["end"] - row["line"]
        elif line <= row["line"] <= end:
            within.add(name)
    shortest = min(near.values(), default=0)
    return within | {name for name, length in near.items() if length == shortest}


def is_site(function: list[Any], site: Json) -> bool:
    """Whether a function that was called is the one of a site."""
    file, line, name = function
    if name in MODULES:
        return bool(site["name"] == MODULES[name])
    if not site["file"]:
        package, _, last = site["name"].rpartition(".")
        folder = package.rpartition(".")[0].replace(".", "/")
        return bool(folder and folder in file and name.split(".")[-1] == last)
    if Path(file).name != Path(site["file"]).name:
        return False
    same = name.split(".")[-1] == site["name"].split(".")[-1]
    return bool(line == site["line"] or (same and abs(line - site["line"]) < 5))


def is_evaluation(
    line: int, called: set[str], shares: dict[str, float], watch: Json
) -> bool:
    """Whether a line computes, but trains not, and not in every iteration."""
    seldom = watch["runs"].get(str(line), 0) < SELDOM * watch["iterations"]
    computes = called & {"forward", "loss"} and not called & {"backward", "update"}
    return bool("evaluate" in shares and seldom and computes)
