"""Every threshold of the diagnosis, with the argument for it above it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """When evidence is enough for a finding; shares are of the step."""

    # Below five steps an interval of their mean is too wide to tell anything.
    min_steps: int = 5
    # Ends at most 1.11x: less is within what repeated runs differ by (FACTS: 8 %).
    wait_share: float = 0.10
    # Input work also costs cores once hidden, so it must promise 1.25x at least.
    input_work_share: float = 0.20
    # A setting that costs nothing is worth it from what repeated runs tell apart on.
    starts_share: float = 0.03
    # An optimizer is a few array operations; Python above this is bookkeeping.
    update_share: float = 0.20
    # Every loop has some Python around its arrays; 1.43x pays for rewriting it.
    python_share: float = 0.30
    # Evaluation and checkpoints are part of training; less than this is usual.
    between_share: float = 0.20
    # Computing is what a loop is for; only near-total dominance is worth a word.
    compute_share: float = 0.70
    # A cause that fills less than half of its stage's own time is not its nature.
    dominant: float = 0.50
    # Others' jobs delay any run a little; above a quarter no share can be trusted.
    busy_share: float = 0.25
    # A thread that seldom wants a core cannot keep another from one.
    contender_share: float = 0.10
    # A third of a core of foreign work delays a thread by more than runs differ.
    foreign_cores: float = 0.30
    # Ranks on shared cores differ by a few per cent in a run where none is slow.
    straggler_share: float = 0.05
    # Less of an optimizer than this, and it is few large operations, not bookkeeping.
    update_python: float = 0.20
    # More time than this without a cause, and "nothing is wrong" cannot be said.
    unknown_share: float = 0.30
    # A line with fewer samples than this of its stage says nothing about it.
    line_share: float = 0.05
    # A thread that holds the GIL half as long as the longest shares the blame.
    holder_share: float = 0.50
    # A step three times as long as usual is no scatter: a stall of its own.
    stall_times: float = 3.0
    # Of a few stalls one may be chance; nine of ten keep the order or there is none.
    in_order: float = 0.90
    # Repeated runs differ by 8 % (FACTS): surely more than that from first to last.
    drift_times: float = 1.10
    # Nobody waits long for less; importing libraries takes seconds anywhere.
    start_s: float = 10.0
    # More lines than these are not read; the page has them all.
    max_lines: int = 3
    # Ends at 1.43x and more: worth the next hour.
    high_share: float = 0.30
    # Ends at 1.18x and more: worth doing when convenient.
    medium_share: float = 0.15
    # A share of 1 would promise an infinite gain; 100x says as much.
    most_share: float = 0.99

    def severity(self, share: float) -> str:
        """The word for that share of the step at stake."""
        if share >= self.high_share:
            return "high"
        return "medium" if share >= self.medium_share else "low"

    def ceiling(self, share: float) -> float:
        """Speed-up if that share vanished: 1 / (1 - share)."""
        return 1.0 / (1.0 - min(max(share, 0.0), self.most_share))


THRESHOLDS = Thresholds()
