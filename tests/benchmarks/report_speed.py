"""Print what reports of long runs cost: `python tests/benchmarks/report_speed.py`.

First one recording of ten minutes, then a comparison of two. Each is analysed and
rendered by `bottleneck report` in a process of its own, and opened in Chromium if
there is one. Ends with status 1 if a bound is missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import long_runs

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DRAWN = "document.documentElement.dataset.drawn === 'all'"
PAGE = "report.html"


@dataclass(frozen=True)
class Bounds:
    """The most that is allowed."""

    seconds: float
    memory_gb: float
    page_mb: float = 6.0
    interactive_s: float = 3.0
    recording_mb: float = 30.0


@dataclass(frozen=True)
class Cost:
    """What one report took; `interactive_s` is None without a browser."""

    recording_mb: float
    seconds: float
    cpu_s: float
    memory_gb: float
    page_mb: float
    interactive_s: float | None


ONE = Bounds(seconds=10.0, memory_gb=1.0)
PAIR = Bounds(seconds=15.0, memory_gb=1.5)


def report(folder: Path) -> tuple[float, float, float]:
    """Of `bottleneck report`: seconds, those on a core, and GB of memory."""
    command = [sys.executable, "-m", "debottleneck", "report", str(folder)]
    before = time.monotonic()
    process = subprocess.Popen([*command, "--format", "html"])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - before
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def why_no_browser() -> str:
    """Why a page cannot be opened here, "" if it can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return "" if CHROMIUM.exists() else f"there is no {CHROMIUM}"


def interactive(page: Path) -> float:
    """Seconds from opening the page until every figure is drawn."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=str(CHROMIUM), headless=True, args=ARGUMENTS
        )
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        before = time.monotonic()
        opened.goto(page.as_uri())
        opened.wait_for_function(DRAWN, timeout=60_000)
        seconds = time.monotonic() - before
        browser.close()
    return seconds


def measure(folder: Path) -> Cost:
    """What the report of a saved folder takes."""
    recordings = [file.parent for file in folder.rglob("recording.json")]
    sizes = [sum(f.stat().st_size for f in place.iterdir()) for place in recordings]
    spent = report(folder)
    page = folder / PAGE
    opened = None if why_no_browser() else interactive(page)
    return Cost(max(sizes) / 1e6, *spent, page.stat().st_size / 1e6, opened)


def tell(name: str, cost: Cost, bounds: Bounds) -> bool:
    """Print each figure beside its bound; whether all are kept."""
    kept = True
    print(name)
    for what, value, most, unit in (
        ("a recording on disk", cost.recording_mb, bounds.recording_mb, "MB"),
        ("analyse and render", cost.seconds, bounds.seconds, "s"),
        ("peak memory", cost.memory_gb, bounds.memory_gb, "GB"),
        ("page", cost.page_mb, bounds.page_mb, "MB"),
        ("until interactive", cost.interactive_s, bounds.interactive_s, "s"),
    ):
        if value is None:
            print(f"  {what:20} not measured: {why_no_browser()}")
            continue
        good = value <= most
        kept &= good
        word = "" if good else "   MISSED"
        print(f"  {what:20} {value:6.2f} {unit:3} (at most {most:g}){word}")
    print(f"  on a core            {cost.cpu_s:6.2f} s   (a busy machine takes longer)")
    return kept


def main() -> int:
    """Make both, measure both."""
    with tempfile.TemporaryDirectory() as name:
        one, pair = Path(name, "recording"), Path(name, "comparison")
        long_runs.recording().save(one)
        kept = tell("one recording of ten minutes", measure(one), ONE)
        long_runs.comparison(pair)
        kept &= tell("a comparison of two", measure(pair), PAIR)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
