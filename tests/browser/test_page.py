"""The page in a real browser, opened from a file: drawn, quiet, usable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import examples
import pytest

from debottleneck.report import write

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

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
NAMES = list(examples.EXAMPLES)

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}")


@dataclass
class Opened:
    """A page that was drawn, and what it said and asked for meanwhile."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One chromium for the module."""
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=str(CHROMIUM), headless=True, args=ARGUMENTS
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every example's page as a file."""
    folder = tmp_path_factory.mktemp("pages")
    made = {name: folder / f"{name}.html" for name in NAMES}
    for name, path in made.items():
        write(examples.EXAMPLES[name](), path)
    return made


def opened(
    browser: Any, path: Path, width: int = 1400, scheme: str = "light"
) -> Opened:
    """Open the file and wait until all its figures are drawn."""
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    seen = Opened(page)
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.on("dialog", lambda dialog: (seen.said.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function(DRAWN)
    return seen


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_page_draws_in_silence(
    browser: Any, files: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    """Every figure has an area, nothing is said or asked for, nothing overflows."""
    seen = opened(browser, files[name], width, scheme)
    assert seen.said == []
    assert [url for url in seen.asked if not url.startswith(("file:", "data:"))] == []
    areas = seen.page.evaluate(
        """[...document.querySelectorAll('.figure')].map((figure) => {
          const drawing = figure.querySelector('svg.main-svg, canvas');
          const box = drawing ? drawing.getBoundingClientRect() : {width: 0, height: 0};
          return box.width * box.height;
        })"""
    )
    assert all(area > 0 for area in areas)
    assert areas or name == "killed"
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    seen.page.close()


def test_hostile_names_never_run(browser: Any, files: dict[str, Path]) -> None:
    """Scripts in names are shown in tables and figures, and do nothing."""
    page = opened(browser, files["hostile"]).page
    assert page.evaluate("window.pwned") is None
    assert page.locator("h1").inner_text() == examples.EVIL
    assert page.locator("#threads-table tbody th").first.inner_text() == examples.EVIL
    shown = page.locator("#flame-figure text.slicetext").all_text_contents()
    assert any("<script>window.pwned" in text for text in shown)
    page.locator("#timeline .figure").first.hover()
    assert page.evaluate("window.pwned") is None
    page.close()


def column(page: Any, table: str, number: int) -> list[float]:
    """A column's sort keys from top to bottom."""
    cells = page.locator(f"#{table} tbody tr td:nth-child({number})").all()
    return [
        float(cell.get_attribute("data-sort") or cell.inner_text()) for cell in cells
    ]


def test_clicking_a_header_sorts(browser: Any, files: dict[str, Path]) -> None:
    """First click: largest first; second: smallest first; the header says which."""
    page = opened(browser, files["input_bound"]).page
    header = page.locator("#functions-table thead th").nth(3)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    calls = column(page, "functions-table", 4)
    assert calls == sorted(calls, reverse=True)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(page, "functions-table", 4) == sorted(calls)
    assert page.locator("#functions-table [aria-sort]").count() == 1
    page.close()


def test_typing_filters_the_functions(browser: Any, files: dict[str, Path]) -> None:
    """Only rows with every word typed stay, and the count says how many."""
    page = opened(browser, files["input_bound"]).page
    page.fill("#functions-table-filter", "augment-1 DATA.py")
    rows = page.locator("#functions-table tbody tr:visible")
    assert rows.count() == 2
    assert page.locator("[data-count=functions-table]").inner_text() == "2 of 15"
    page.fill("#functions-table-filter", "")
    assert rows.count() == 15
    page.close()


def frames_shown(page: Any) -> list[str]:
    """Labels that the flame graph shows."""
    texts = page.locator("#flame-figure text.slicetext").all_text_contents()
    return [str(text) for text in texts]


def fills(page: Any) -> list[str]:
    """Colours of the flame graph's frames."""
    painted = page.evaluate(
        """[...document.querySelectorAll('#flame-figure path.surface')].map(
             (path) => path.style.fill)"""
    )
    return [str(colour) for colour in painted]


def test_the_flame_graph_follows_its_controls(
    browser: Any, files: dict[str, Path]
) -> None:
    """Another stage shows its own frames; the toggle changes their colours."""
    page = opened(browser, files["input_bound"]).page
    assert "load_batch" in frames_shown(page)
    page.select_option("#flame-stage", label="update")
    page.wait_for_function(
        "document.getElementById('flame-figure').dataset.drawn !== 'flame-0'"
    )
    assert "\N{BLACK CIRCLE} update" in frames_shown(page)
    assert "load_batch" not in frames_shown(page)
    before = fills(page)
    page.check("input[name=flame-colour][value=gil]")
    page.wait_for_function(
        """(old) => [...document.querySelectorAll('#flame-figure path.surface')].some(
             (path, index) => path.style.fill !== old[index])""",
        arg=before,
    )
    assert page.locator("#flame-key-gil").is_visible()
    assert page.locator("#flame-key-kind").is_hidden()
    page.close()


def test_the_page_follows_a_change_of_scheme(
    browser: Any, files: dict[str, Path]
) -> None:
    """Switching the system to dark repaints paper and figures."""
    page = opened(browser, files["healthy"]).page
    ink = "getComputedStyle(document.querySelector('.xtick text')).fill"
    before = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(old) => {ink} !== old", arg=before)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(21, 24, 27)"
    )
    page.close()
