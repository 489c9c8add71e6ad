"""What a plan does with the recorded parts of a step: ahead, by workers, in the loop.

A plan knows its pieces by the line of the loop's statement, and how long each was on a
core and waited. A part of a step that lies in that statement is divided as they are:
its work by their time on a core, its waiting by theirs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from debottleneck.prediction.demand import Demand, Part
from debottleneck.strategies.rewriting.plan import (
    ACTS,
    HEAVY,
    NO_GAIN,
    ORDER,
    STAYS,
    Piece,
    Plan,
    Reason,
)
from debottleneck.strategies.spec import PREFETCH, PREFETCH_WORKERS, Strategy
from debottleneck.words import BETWEEN_STAGES, STAGES

LOADING = ("load", "augment", "transfer", *BETWEEN_STAGES)
"""Stages that train nothing."""

NO_PLAN = Reason(
    "the recording holds no plan of it for this loop: profile the script again"
)
NO_LOOP = "the loop that trains is none of the script's own"
NO_TURNS = Reason("no loop within the training loop has turns worth sharing")

Shares = Mapping[str, tuple[float, float]]
"""Side -> its share of a part's work, and of its waiting."""


def plan_of(demand: Demand, strategy: Strategy) -> Plan | None:
    """What prefetch would do, in these settings; None if the recording does not say.

    Where it does nothing like that with the loop itself, with one that feeds it.
    """
    plans = [p for p in demand.plans if p.strategy == PREFETCH]
    plans = [_as_asked(p, strategy) for p in sorted(plans, key=lambda p: p.feeds)]
    where = strategy.word("where", "thread")
    return min(plans, key=partial(_rank, where), default=None)


def _rank(where: str, plan: Plan) -> tuple[bool, ...]:
    """Least for what does most: a loop may only wait for one that feeds it."""
    acts = not plan.reason
    return not acts, acts and plan.where != where, acts and not has_workers(plan)


def _as_asked(plan: Plan, strategy: Strategy) -> Plan:
    if plan.reason:
        return plan
    workers = strategy.number("workers", PREFETCH_WORKERS)
    if strategy.settings.get("workers") == "auto":
        workers = plan.workers
    if not has_workers(plan):
        workers = 1
    asked = strategy.word("where", "thread") == "process"
    helps = has_workers(plan) or (asked and plan.apart)  # a thread ahead of a thread
    return replace(
        plan,
        reason=ACTS if helps or not plan.feeds else NO_GAIN,
        workers=workers,
        depth=strategy.number("depth", max(2, 2 * workers)),
        where="process" if asked and plan.apart else "thread",
    )


def turns_of(demand: Demand, name: str) -> list[Plan]:
    """Loops whose turns that strategy runs side by side, or would but for a reason."""
    return [plan for plan in demand.plans if plan.strategy == name]


def has_workers(plan: Plan) -> bool:
    """Whether anything of it runs at the same time as more of it."""
    return any(piece.side == HEAVY for piece in plan.pieces)


def why_not(demand: Demand, strategy: Strategy) -> Reason:
    """Why it would do nothing, "" if it would; in the words of its plan."""
    if strategy.name == PREFETCH:
        plan = plan_of(demand, strategy)
        return NO_PLAN if plan is None else plan.reason
    plans = turns_of(demand, strategy.name)
    if any(not plan.reason for plan in plans):
        return ACTS
    longest = max(plans, key=lambda plan: plan.stays_ns, default=None)
    if longest is None:
        return NO_TURNS
    text = f"of the loop in line {longest.line}, {longest.reason}"
    return Reason(text, Reason.of(longest.reason).edit)


def edited(plan: Plan) -> Plan:
    """The plan of the script with the edit that lets it act; the same of others."""
    return replace(plan, reason=ACTS) if plan.reason.edit else plan


class PartsBySide:
    """Divides parts as a plan says."""

    def __init__(self, plan: Plan, parts: Iterable[Part]) -> None:
        self._called: dict[int, set[str]] = {}
        for part in parts:
            names = self._called.setdefault(part.line, set())
            names |= {last_word(part.name)} - {""}
        self._lines = sorted(self._called)
        self._pieces: dict[int, list[Piece]] = {}
        for piece in plan.pieces:
            place = max(bisect_right(self._lines, piece.line) - 1, 0)
            line = self._lines[place] if self._lines else 0
            self._pieces.setdefault(line, []).append(piece)
        self._known: dict[tuple[int, str, str], Shares] = {}

    def divide(self, part: Part) -> dict[str, Part]:
        """What of it runs where."""
        key = part.line, part.stage, part.name
        if key not in self._known:
            self._known[key] = shares(self._pieces_of(part))
        known = self._known[key]
        first = max(known, key=lambda side: sum(known[side]))
        return {
            side: replace(share_of(part, *both), takes=part.takes and side == first)
            for side, both in known.items()
        }

    def _pieces_of(self, part: Part) -> Sequence[Piece]:
        """Those that the part may be of, the closest ones."""
        before = [line for line in self._lines if line <= part.line]
        line = next((n for n in reversed(before) if n in self._pieces), None)
        pieces = [] if line is None else self._pieces[line]
        called = self._called.get(part.line, set())
        choices = [[p for p in pieces if part.name and p.name == last_word(part.name)]]
        if part.stage in STAGES and part.name:
            trains = part.stage not in LOADING
            choices.append([p for p in pieces if part.stage in p.stages])
            choices.append([p for p in pieces if bool(p.stages) == trains])
        else:
            choices.append([p for p in pieces if p.name not in called])
        return next((found for found in choices if found), pieces)


def shares(pieces: Sequence[Piece]) -> Shares:
    """What each side is of the time that pieces take."""
    cpu = sum(piece.cpu_ns for piece in pieces)
    waits = sum(piece.ns - piece.cpu_ns for piece in pieces)
    total = cpu + waits
    if total <= 0:
        return {pieces[0].side if pieces else STAYS: (1.0, 1.0)}
    found: dict[str, tuple[float, float]] = {}
    for side in (ORDER, HEAVY, STAYS):
        own = [piece for piece in pieces if piece.side == side]
        if not own:
            continue
        on_core = sum(piece.cpu_ns for piece in own)
        off_core = sum(piece.ns for piece in own) - on_core
        both = (on_core + off_core) / total
        work = on_core / cpu if cpu > 0 else both
        found[side] = work, off_core / waits if waits > 0 else both
    return found


def share_of(part: Part, work: float, waits: float) -> Part:
    """So much of a part's work and of its waiting."""
    return replace(
        part,
        python=part.python * work,
        native=part.native * work,
        releases=part.releases * work,
        outside=part.outside * waits,
        lock=part.lock * waits,
    )


def last_word(name: str) -> str:
    """Of a qualified name the function's own."""
    return name.rpartition(".")[2]
