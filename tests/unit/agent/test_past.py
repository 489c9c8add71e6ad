"""Marks of what is over."""

from __future__ import annotations

from pathlib import Path

from marking import run_marked


def test_a_wait_is_marked_when_it_is_over(tmp_path: Path) -> None:
    """Within the stage that is open, after its last mark, at no CPU time."""
    snippet = """
    from debottleneck.agent import past
    from debottleneck.agent.sites import site_of
    site = site_of("line", "all_reduce", "a.py", 3, "collective")
    with stage("backward"):
        wait(9_000_000, cpu=3_000_000)
        past.thread_time_ns = lambda: now[1]
        past.mark(site, now[0] - 5_000_000, now[0] - 1_000_000)
        past.mark(site, 0, now[0])
    """
    enter, *waits, leave = run_marked(tmp_path, snippet).marks
    assert (enter.text, leave.text) == ("+backward", "-backward")
    assert [w.t_ns - enter.t_ns for w in waits] == [4e6, 8e6, 8e6, 9e6]
    assert {w.cpu_ns - enter.cpu_ns for w in waits} == {3_000_000}
