"""Steps counted while the script runs: how often that is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from debottleneck.collect.progress import LOOK_COST, StepCounter


def test_looks_take_a_small_part_of_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However long each takes, as there are ever more marks; the last one is made."""
    now, looks = [0.0], [0.0]

    def read() -> None:
        looks.append(looks[-1] + 0.01)
        now[0] += looks[-1]

    counter = StepCounter(tmp_path, 1, known=False, clock=lambda: now[0])
    monkeypatch.setattr(counter, "_read_new", read)
    for _ in range(9_000):
        counter.look()
        now[0] += 0.1
    assert len(looks) > 9
    assert sum(looks[:-1]) < 1.1 * LOOK_COST * now[0]
    counted = len(looks)
    counter.look(last=True)
    assert len(looks) == counted + 1
