"""The script's own loader threads, with what their plan says runs ahead of them."""

from __future__ import annotations

from collections.abc import Iterator

from debottleneck.prediction.demand import Part, Producer
from debottleneck.prediction.engine import (
    GIVE,
    HOLD,
    NATIVE,
    TAKE,
    Counter,
    Gil,
    Op,
    Thread,
)
from debottleneck.prediction.programs import Cycles, Feed, SimulatedLoop
from debottleneck.prediction.sides import has_workers, share_of, shares
from debottleneck.strategies.rewriting.plan import HEAVY, ORDER, STAYS, Plan


class FeedAhead(Feed):
    """Producers whose items are made ahead of what hands them over."""

    def __init__(self, loop: SimulatedLoop, gil: Gil | None, plan: Plan) -> None:
        self._plan = plan
        self._apart, self._by_workers = plan.where == "process", has_workers(plan)
        pieces = [piece for piece in plan.pieces if piece.side != STAYS]
        self._shares = shares(pieces)
        super().__init__(loop, gil)

    def _made_by(
        self, number: int, maker: Producer, gil: Gil | None
    ) -> Iterator[Thread]:
        """The script's thread, and those that work for it."""
        if maker.apart:
            yield from super()._made_by(number, maker, gil)
            return
        room, begun, done = Counter(self._plan.depth), Counter(), Counter()
        inner = self._apart and not self._by_workers
        ops = self._ops(maker, ORDER, inner)
        order = self._work(ops, room, begun if self._by_workers else done)
        yield Thread(order, self._loop.gil() if inner else gil)
        for _ in range(self._plan.workers if self._by_workers else 0):
            heavy = self._work(self._ops(maker, HEAVY, self._apart), begun, done)
            yield Thread(heavy, self._loop.gil() if self._apart else gil)
        yield Thread(self._hand_over(number, done, room), gil)

    def _ops(self, maker: Producer, side: str, apart: bool) -> list[Op]:
        if side not in self._shares:
            return []
        part: Part = share_of(maker.work, *self._shares[side])
        ops = [*Cycles(self._loop, fine=not apart).of(part)]
        copied = self._loop.machine.copy_ns_per_byte * self._plan.size
        return [*ops, (NATIVE, copied)] if apart else ops

    def _work(self, ops: list[Op], needs: Counter, gives: Counter) -> Iterator[Op]:
        while True:
            yield TAKE, needs
            yield HOLD, self._loop.machine.call_ns / 4
            yield from ops
            yield GIVE, gives

    def _hand_over(self, number: int, done: Counter, room: Counter) -> Iterator[Op]:
        """What the script's own thread still does."""
        machine = self._loop.machine
        while True:
            yield TAKE, done
            yield GIVE, room
            yield HOLD, machine.message_ns if self._apart else machine.call_ns / 2
            yield TAKE, self._room[number]
            yield GIVE, self._items[number]
