"""What the agent calls: prepares all loops, and rewrites the one that trains."""

from __future__ import annotations

import ast
import atexit
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from debottleneck.agent import (
    copies,
    discover,
    entries,
    evidence,
    marks,
    opened,
    turns,
)
from debottleneck.agent.entries import LoopEntry
from debottleneck.agent.evidence import Search
from debottleneck.agent.turns import LoopPoint
from debottleneck.recording import spool
from debottleneck.strategies import pools, standstill
from debottleneck.strategies.remedies import install as remedies
from debottleneck.strategies.rewriting import each, feeding
from debottleneck.strategies.rewriting.divide import SHORTEST_NS
from debottleneck.strategies.rewriting.entries import Rewriting
from debottleneck.strategies.rewriting.feeding import Feeding
from debottleneck.strategies.rewriting.flatten import FlatLoop, flatten
from debottleneck.strategies.rewriting.notes import REFUSED, Notes
from debottleneck.strategies.rewriting.plan import Wanted
from debottleneck.strategies.spec import FORWARD, PREFETCH, UPDATE, parse

GRACE_S = 0.5
"""Given at exit to fetches that are under way; nobody waits for their batches."""

SURE = 5
"""Iterations after which a loop that seems to train is taken to."""

_rewritten: list[Rewriting] = []
_asked: list[str] = []
_sides: list[each.Sharing] = []


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Begin to rewrite the training loop of the script.

    Args:
        folder: The spool folder, for the notes.
        config: Its "strategies" are what `spec.parse` reads, its "loop" is the loop's
            file and line where they are known.
    """
    notes = Notes(folder / spool.STRATEGIES_FILE)
    strategies = parse(config["strategies"])
    _asked.extend(strategy.name for strategy in strategies)
    beside = all(name in (FORWARD, UPDATE) for name in _asked)  # no step is to be known
    if PREFETCH in _asked:
        copies.copy_with(copy_of)
    if not beside and not evidence.searching():
        marks.start_unwritten()
        unopened = opened.Opening(lambda path: False)  # nobody reads marks
        evidence.start(config.get("loop"), unopened)
    hands: list[Hand] = []
    for strategy in strategies:
        if strategy.name == PREFETCH:
            known = config.get("loop") is not None
            hands.append(Hand(evidence.search(), Wanted.of(strategy), notes, known))
            entries.listen_with(hands[0])
            entries.at_steps(lambda point: standstill.pause())
    remedies.begin(strategies, notes)
    sharing = [s for s in strategies if s.name in (FORWARD, UPDATE)]
    workers = {s.name: s.number("workers", 0) for s in sharing}
    if workers:
        asked = each.Sharing(workers, notes, [])
        _sides.append(asked)
        discover.prepare_with(partial(each.prepare, asked=asked))
    os.register_at_fork(after_in_child=_as_worker)
    atexit.register(_close, hands, notes)


def _as_worker() -> None:
    """In a forked process every loop is plain."""
    pools.as_worker()
    for point in turns.points():
        point.allow(False)


def after_torch(torch: ModuleType) -> None:
    """Act on torch's own loaders, modules and optimizers, once it is imported."""
    remedies.after_torch(torch)


def copy_of(
    loop: ast.For | ast.While, placeholder: str, source: ast.expr
) -> tuple[Any, ast.stmt]:
    """The copy of a loop in which lines can be taken."""

    def attribute(name: str) -> ast.expr:
        point = ast.Attribute(ast.Constant(placeholder), "rewritten", ast.Load())
        return ast.Attribute(point, name, ast.Load())

    turn = "items" if isinstance(loop, ast.For) else "turn"
    given = [source] if isinstance(loop, ast.For) else []
    return flatten(loop, attribute, ast.Call(attribute(turn), [*given], []))


class Hand:
    """Listens beside the search, and hands the training loop over."""

    def __init__(
        self, search: Search, settings: Wanted, notes: Notes, known: bool
    ) -> None:
        self._search = search
        self._settings, self._notes = settings, notes
        self._sure = 1 if known else SURE

    def entered(self, run: LoopEntry) -> None:
        """A loop begins."""
        self._search.entered(run)
        if feeding.feeds(run):
            self.feed(run.point)

    def turned(self, run: LoopEntry) -> None:
        """An iteration begins."""
        self._search.turned(run)
        point = run.point
        if point is not self._search.chosen or point.rewritten is not None:
            return
        if point.mean_ns < SHORTEST_NS:  # nothing in it is worth handing over
            self.too_short(point)
            return
        if point.count >= self._sure or self._search.settled:
            self.hand_over(point)

    def began_row(self, point: LoopPoint) -> None:
        """A statement begins."""
        self._search.began_row(point)

    def left(self, run: LoopEntry) -> None:
        """A loop is over."""
        self._search.left(run)

    def why_not(self) -> str:
        """Why no loop was handed over, as a sentence."""
        point = self._search.chosen
        if point is None:
            return "no loop was seen to train"
        where = f"the loop at {os.path.basename(point.file)}:{point.plan.line}"
        if point.mean_ns < SHORTEST_NS:
            return f"{where} stays as it is: {short(point)}"
        if not isinstance(point.plan.flat, FlatLoop):
            return (
                f"{where} stays as it is: a comprehension, or a loop in a generator, "
                "is not taken apart; write it as a `for` statement in a function"
            )
        return f"{where} stays as it is: it was over before it was known well enough"

    def too_short(self, point: LoopPoint) -> None:
        """Its iterations are too short, so far."""

    def feed(self, point: LoopPoint) -> None:
        """It hands over to other threads what it makes: several may be in it."""
        if point.rewritten is None:
            flat, settings = point.plan.flat, self._settings
            point.rewritten = Feeding(point, flat, settings, self._notes)
        point.open = point.rewritten.several

    def hand_over(self, point: LoopPoint) -> None:
        """It goes on in the copy that can run ahead."""
        flat = point.plan.flat
        if isinstance(flat, FlatLoop):
            made = Rewriting(point, flat, self._settings, self._notes)
            point.rewritten = made
            _rewritten.append(made)


def short(point: LoopPoint) -> str:
    """Why a loop of short iterations is left as it is."""
    return f"an iteration takes {point.mean_ns / 1e3:.0f} us, not worth handing over"


def _close(hands: list[Hand], notes: Notes) -> None:
    """Undo what is patched; say what it came to, and of what came to nothing."""
    feeding.close()
    remedies.close(notes)
    rewritten = [(one.decision, one.fetched) for one in _rewritten]
    for decision, fetched in (*rewritten, *feeding.made()):
        if decision is not None and fetched:
            notes.summary(decision.plan, fetched)
    silent = {name for name in _asked if not notes.tell_of(name)}
    for hand in hands if PREFETCH in silent else ():
        notes.say(PREFETCH, REFUSED, hand.why_not())
    for asked in _sides:
        for strategy in silent & asked.workers.keys():
            refused = [plan for plan in asked.refused if plan.strategy == strategy]
            if refused:
                notes.planned(max(refused, key=lambda plan: plan.stays_ns))
            else:
                notes.say(strategy, REFUSED, "no loop has turns worth sharing")
    pools.close_all(GRACE_S)
