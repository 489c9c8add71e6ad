"""The comparison's page in a real browser: side by side, stacked, silent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comparisons
import examples
import pytest

from debottleneck.analysis.result import Analysis
from debottleneck.report import evidence, save
from debottleneck.report.html import comparison as pair
from debottleneck.trials.result import Comparison

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DRAWN = "document.documentElement.dataset.drawn === 'all'"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One chromium for the module."""
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=str(CHROMIUM), headless=True, args=ARGUMENTS
        )
        yield chromium
        chromium.close()


def html(whole: Comparison, *analyses: Analysis) -> str:
    """The page of a comparison with recordings that were never saved."""
    named = zip(evidence.labels(whole).items(), analyses, strict=False)
    shown = tuple(evidence.Side(id, label, each) for (id, label), each in named)
    return pair.render(whole, evidence.Evidence(shown))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages with both recordings, with one, with none, and with hostile names."""
    folder = tmp_path_factory.mktemp("pairs")
    pages = {
        "both": html(comparisons.faster(), examples.input_bound(), comparisons.after()),
        "one": html(comparisons.nothing(), examples.healthy()),
        "none": html(comparisons.unverified()),
        "hostile": html(comparisons.hostile(), examples.hostile(), examples.hostile()),
    }
    made = {name: folder / f"{name}.html" for name in pages}
    for name, path in made.items():
        save(pages[name], path)
    return made


def opened(
    browser: Any, path: Path, width: int, scheme: str = "light"
) -> tuple[Any, list[str]]:
    """The drawn page, and what it said or asked for meanwhile."""
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("dialog", lambda dialog: (seen.append("dialog"), dialog.dismiss()))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file:", "data:"))
            else seen.append(request.url)
        ),
    )
    page.goto(path.as_uri())
    page.wait_for_function(DRAWN)
    return page, seen


@pytest.mark.parametrize("name", ["both", "one", "none", "hostile"])
@pytest.mark.parametrize(
    ("width", "scheme"), [(1400, "light"), (1000, "dark"), (400, "dark")]
)
def test_the_page_draws_in_silence(
    browser: Any, files: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    """Every figure has an area, nothing is said or asked for, nothing overflows."""
    page, seen = opened(browser, files[name], width, scheme)
    assert seen == []
    areas = page.evaluate(
        """[...document.querySelectorAll('.figure')].map((figure) => {
          const drawing = figure.querySelector('svg.main-svg, canvas');
          const box = drawing ? drawing.getBoundingClientRect() : {width: 0, height: 0};
          return box.width * box.height;
        })"""
    )
    assert all(area > 0 for area in areas)
    assert len(areas) == {"both": 6, "hostile": 6, "one": 3, "none": 0}[name]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.pwned") is None
    page.close()


def corners(page: Any) -> list[tuple[float, float]]:
    """Left and top of the two timelines, in pixels."""
    boxes = page.evaluate(
        """[...document.querySelectorAll('#timeline .figure')].map((figure) => {
          const box = figure.getBoundingClientRect();
          return [box.left, box.top + scrollY];
        })"""
    )
    return [(left, top) for left, top in boxes]


def test_recordings_stand_side_by_side_or_stacked(
    browser: Any, files: dict[str, Path]
) -> None:
    """At 1000 pixels the second stands beside the first, below that under it."""
    page, _ = opened(browser, files["both"], 1000)
    before, after = corners(page)
    assert before[1] == after[1]
    assert after[0] > before[0] + 300
    page.close()
    page, _ = opened(browser, files["both"], 980)
    before, after = corners(page)
    assert before[0] == after[0]
    assert after[1] > before[1] + 100
    page.close()


def test_no_label_of_the_heat_map_is_cut(browser: Any, files: dict[str, Path]) -> None:
    """Names of causes lie inside the figure at half width too."""
    page, _ = opened(browser, files["both"], 1400)
    outside = page.evaluate(
        """[...document.querySelectorAll('#matrix .figure')].flatMap((figure) => {
          const box = figure.getBoundingClientRect();
          return [...figure.querySelectorAll('.xtick text')].filter((text) => {
            const it = text.getBoundingClientRect();
            return it.top < box.top - 1 || it.right > box.right + 1;
          }).map((text) => text.textContent);
        })"""
    )
    assert outside == []
    page.close()


def test_trials_sort_by_speed(browser: Any, files: dict[str, Path]) -> None:
    """A click on the speed-up's header puts the fastest first, the unmeasured last."""
    page, _ = opened(browser, files["both"], 1400)
    header = page.locator("#trials-table thead th", has_text="speed-up")
    header.locator("button").click()
    names = page.locator("#trials-table tbody th").all_inner_texts()
    assert names[0] == "prefetch:workers=4,depth=8"
    assert names[-1] == "parallel-forward"
    page.close()
