"""The wait sampler's manners: its rate, and how soon it runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from debottleneck.collect.prompt import SLICE_NS, Aside, core_of
from debottleneck.collect.sampler import MOST_CPU, SLOWEST_NS, tuned_period

ASKED = 5e6
SCHED = Path("/proc/self/sched")


def test_rate_falls_to_where_the_bound_holds() -> None:
    """Four times too much CPU: four times the period, in one step."""
    assert tuned_period(ASKED, ASKED, 4 * MOST_CPU) == pytest.approx(4 * ASKED)


def test_rate_has_a_floor() -> None:
    """However many threads there are, some samples are taken."""
    assert tuned_period(SLOWEST_NS / 2, ASKED, 0.9) == SLOWEST_NS


def test_rate_never_exceeds_what_was_asked() -> None:
    """An idle sampler stays at the asked rate."""
    assert tuned_period(ASKED, ASKED, 0.0) == ASKED


def test_rate_recovers() -> None:
    """A rate that was lowered for a moment comes back when there is room."""
    period = 3 * ASKED
    for _ in range(10):
        period = tuned_period(period, ASKED, 0.02)
    assert period == ASKED


def test_rate_rests_near_the_bound() -> None:
    """Between too much and room for more nothing changes."""
    assert tuned_period(2 * ASKED, ASKED, 0.045) == 2 * ASKED


@pytest.mark.skipif(not SCHED.exists(), reason="the kernel shows no /proc/self/sched")
def test_sampler_runs_soon_after_it_wakes() -> None:
    """The kernel grants the short slice, in a process of its own."""
    code = (
        "from debottleneck.collect.prompt import ask_for_short_slice as ask\n"
        "assert ask()\n"
        "print(open('/proc/self/sched').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    found = re.search(r"se\.slice\s*:\s*(\d+)", done.stdout)
    if found is None:
        pytest.skip("this kernel has no slices")
    assert int(found.group(1)) == SLICE_NS


def test_the_core_is_read_behind_any_name() -> None:
    """A process may be called "a) S 7 (b"; the core is the 39th field all the same."""
    fields = [b"S", *(str(number).encode() for number in range(4, 53))]
    assert core_of(b"12 (a) S 7 (b) " + b" ".join(fields) + b"\n") == 39
    with pytest.raises(ValueError, match="unexpected text"):
        core_of(b"12 (a) S 7")


@pytest.mark.skipif(
    len(getattr(os, "sched_getaffinity", lambda _: "")(0)) < 2, reason="one core only"
)
def test_sampler_stays_off_the_script_s_core() -> None:
    """It may use every core it was given but the one the script is on."""
    code = (
        "import os, sys\n"
        "from debottleneck.collect.prompt import Aside\n"
        "before = os.sched_getaffinity(0)\n"
        "aside = Aside(int(sys.argv[1]))\n"
        "os.sched_setaffinity(int(sys.argv[1]), {min(before)})\n"
        "aside.step()\n"
        "print(os.sched_getaffinity(0) == before - {min(before)})"
    )
    spin = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    with subprocess.Popen(spin, stdout=subprocess.PIPE) as script:
        assert script.stdout is not None
        script.stdout.readline()
        try:
            run = [sys.executable, "-c", code, str(script.pid)]
            done = subprocess.run(run, capture_output=True, text=True, check=True)
        finally:
            script.kill()
    assert done.stdout.strip() == "True"


def test_sampler_minds_no_script_that_is_gone() -> None:
    """A process that ended leaves the sampler where it is."""
    before = getattr(os, "sched_getaffinity", lambda _: set())(0)
    Aside(2**22 + 1).step()
    assert getattr(os, "sched_getaffinity", lambda _: set())(0) == before
