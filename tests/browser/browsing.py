"""What the browser tests share: a page opened from a file, and how to look at it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import comparisons
import examples
import made_predictions

from debottleneck.analysis.result import Analysis
from debottleneck.report import render
from debottleneck.report.html import comparison as pair
from debottleneck.report.html import predictions
from debottleneck.trials.result import Comparison

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-component-update",
]
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


def run_page(name: str) -> str:
    """An example's page."""
    return render(examples.EXAMPLES[name](), "html")


def asked_page() -> str:
    """The page of predictions under a question."""
    curves = made_predictions.WAITING.settings
    found = replace(made_predictions.WITH_CORES, settings=curves)
    return predictions.render(found, examples.predicted().recording)


def pair_page(whole: Comparison, *analyses: Analysis) -> str:
    """The page of a comparison with recordings that were never saved."""
    return pair.render(whole, comparisons.shown(whole, *analyses))


def both_sides() -> str:
    """The page of a comparison with both recordings."""
    return pair_page(comparisons.faster(), examples.input_bound(), comparisons.after())
