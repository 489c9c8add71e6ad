"""What the browser tests share: a page opened from a file, and how to look at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import comparisons
import examples

from debottleneck.analysis.result import Analysis
from debottleneck.recording.environment import Difference
from debottleneck.report import render
from debottleneck.report.html import comparison as pair
from debottleneck.trials.result import Comparison
from debottleneck.trials.sides import Sides

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-component-update",
]
CORES = Difference("cores", "8", "4", matters=True)
DRAWN = "document.documentElement.dataset.drawn === 'all'"


@dataclass
class Opened:
    """A page, and what it said and asked for meanwhile."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def left(self) -> list[str]:
        """Addresses it asked for beyond its own file and data in it."""
        return [url for url in self.asked if not url.startswith(("file:", "data:"))]


def listened(page: Any) -> Opened:
    """Write down what the page says and asks for from now on."""
    seen = Opened(page)
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.on("dialog", lambda dialog: (seen.said.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: seen.asked.append(request.url))
    return seen


def opened(
    browser: Any, path: Path, width: int = 1280, scheme: str = "light"
) -> Opened:
    """Open the file and wait until all its figures in sight are drawn."""
    size = {"width": width, "height": 900}
    seen = listened(browser.new_page(viewport=size, color_scheme=scheme))
    seen.page.goto(path.as_uri())
    seen.page.wait_for_function(DRAWN)
    return seen


def unfold(page: Any) -> None:
    """Open every fold and wait until the figures in it are drawn."""
    page.evaluate(
        "document.querySelectorAll('main details').forEach((fold) => fold.open = true)"
    )
    page.wait_for_function(
        "[...document.querySelectorAll('.figure')].every((one) => one.dataset.drawn)"
    )


def restore(page: Any) -> None:
    """As wide, folded and scrolled as it was opened."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate(
        """document.querySelectorAll('main details').forEach((fold) => {
             fold.open = false;
           });
           scrollTo(0, 0)"""
    )


def change(page: Any, width: int, scheme: str) -> None:
    """Another width of the window and other colours; waits until all is drawn anew."""
    for act in (
        lambda: page.set_viewport_size({"width": width, "height": 900}),
        lambda: page.emulate_media(color_scheme=scheme),
    ):
        page.evaluate("delete document.documentElement.dataset.drawn")
        act()
        page.wait_for_function(f"!document.querySelector('.figure') || {DRAWN}")


def pages() -> dict[str, str]:
    """Every example's page, and comparisons.

    Of these: both recordings and all tables, with evil names, of saved recordings, one
    recording, none.
    """
    won, lost, saved = (
        comparisons.faster(),
        comparisons.nothing(),
        comparisons.recorded(),
    )
    plain, after = comparisons.with_sources(examples.input_bound()), comparisons.after()
    evil, code = comparisons.hostile(), f"{examples.EVIL}\n" * 5
    bad = comparisons.with_sources(
        examples.hostile(), code, first=1, file=examples.EVIL_FILE
    )
    shown = comparisons.shown
    both = shown(won, plain, after, trials=True, differences=(CORES,))
    return {
        **{name: render(build(), "html") for name, build in examples.EXAMPLES.items()},
        "both": pair.render(won, both),
        "recorded": pair.render(saved, shown(saved, plain, after, trials=True)),
        "one": pair.render(lost, shown(lost, examples.healthy(), trials=True)),
        "none": pair.render(comparisons.unverified(), Sides()),
        "evil": pair.render(evil, shown(evil, bad, bad, trials=True)),
    }


def pair_page(whole: Comparison, *analyses: Analysis) -> str:
    """The page of a comparison with recordings that were never saved."""
    return pair.render(whole, comparisons.shown(whole, *analyses))
