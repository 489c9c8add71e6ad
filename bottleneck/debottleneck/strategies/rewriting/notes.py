"""What is said of a rewritten loop, in sentences; all of it through one function."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from debottleneck.strategies.rewriting.plan import Plan

ENGAGED, REFUSED, FAILED, SUMMARY = "engaged", "refused", "failed", "summary"
"""States, as `strategies.automatic.notes` has them."""

Say = Callable[..., None]


class Voice:
    """Says what becomes of loops.

    Args:
        say: Takes strategy, state, text and further facts, see `Notes.say`.
    """

    def __init__(self, say: Say) -> None:
        self._say = say

    def planned(self, plan: Plan) -> None:
        """A loop's plan was made."""
        if plan.reason:
            text = f"the loop at {place(plan)} stays as it is: {plan.reason}"
            self._say(plan.strategy, REFUSED, text, plan=plan.as_json())
            return
        text = f"{places(plan.places)} of the loop at {place(plan)} {ahead(plan)}"
        self._say(
            plan.strategy, ENGAGED, text, workers=plan.workers, plan=plan.as_json()
        )

    def side_by_side(self, plan: Plan) -> None:
        """The turns of a loop run at the same time."""
        text = f"the turns of the loop at {place(plan)} run in {plan.workers} threads"
        self._say(plan.strategy, ENGAGED, text, plan=plan.as_json())

    def undone(self, plan: Plan) -> None:
        """A loop is no longer rewritten."""
        text = f"the loop at {place(plan)} runs as written again: {plan.reason}"
        self._say(plan.strategy, FAILED, text, plan=plan.as_json())

    def summary(self, plan: Plan, count: int) -> None:
        """What it came to in all."""
        text = f"{count} items of the loop at {place(plan)} were made ahead"
        self._say(plan.strategy, SUMMARY, text, batches=count)

    def other(self, strategy: str, state: str, text: str, **more: Any) -> None:
        """Anything else."""
        self._say(strategy, state, text, **more)


def place(plan: Plan) -> str:
    """Where a loop stands, as it is printed."""
    return f"{os.path.basename(plan.file)}:{plan.line}"


def places(lines: tuple[int, ...]) -> str:
    """Lines of the user's file."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    return f"lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"


def ahead(plan: Plan) -> str:
    """Who runs them."""
    verb = "runs" if len(plan.places) == 1 else "run"
    if plan.heavy:
        what = "processes" if plan.where == "process" else "threads"
        return f"{verb} ahead in {plan.workers} {what}, up to {plan.depth} items"
    what = "a process" if plan.where == "process" else "a thread"
    return f"{verb} ahead in {what}, in order, up to {plan.depth} items"
