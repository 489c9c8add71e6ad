"""The page in a real browser, opened from a file: drawn, quiet, usable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import pytest
from browsing import opened


@pytest.fixture(scope="module")
def shown(browser: Any, files: dict[str, Path]) -> Any:
    """The page that most tests look at, opened once."""
    return opened(browser, files["input_bound"]).page


@pytest.fixture
def page(shown: Any) -> Any:
    """It, as it was opened."""
    browsing.restore(shown)
    return shown


def column(page: Any, table: str, number: int) -> list[float]:
    """A column's sort keys from top to bottom."""
    cells = page.locator(f"#{table} tbody tr td:nth-child({number})").all()
    return [
        float(cell.get_attribute("data-sort") or cell.inner_text()) for cell in cells
    ]


def test_clicking_a_header_sorts(page: Any) -> None:
    """First click: largest first; second: smallest first; the header says which."""
    browsing.unfold(page)
    header = page.locator("#functions-table thead th").nth(3)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    calls = column(page, "functions-table", 4)
    assert calls == sorted(calls, reverse=True)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(page, "functions-table", 4) == sorted(calls)
    assert page.locator("#functions-table [aria-sort]").count() == 1


def test_typing_filters_the_functions(page: Any) -> None:
    """Only rows with every word typed stay, and the count says how many."""
    page.locator("#functions summary").click()
    page.fill("#functions-table-filter", "augment-1 DATA.py")
    rows = page.locator("#functions-table tbody tr:visible")
    assert rows.count() == 2
    assert page.locator("[data-count=functions-table]").inner_text() == "2 of 15"
    page.fill("#functions-table-filter", "")
    assert rows.count() == 15


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


def test_the_flame_graph_follows_its_controls(page: Any) -> None:
    """Another stage shows its own frames; the toggle changes their colours."""
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


def test_long_tables_are_folded(page: Any) -> None:
    """A table beyond 12 rows waits behind a line that says how many it has."""
    fold = page.locator("#functions details.fold")
    assert fold.locator("summary").inner_text() == "All 15 functions"
    assert page.locator("#functions-table").is_hidden()
    fold.locator("summary").click()
    assert page.locator("#functions-table tbody tr:visible").count() == 15
    assert page.locator("#lines-table").is_visible()


def test_an_old_browser_gets_the_tables(browser: Any, files: dict[str, Path]) -> None:
    """Without DecompressionStream each figure's place says what it takes."""
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(files["healthy"].as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'none'")
    said = page.locator(".figure").first.inner_text()
    assert said.startswith("Figures need a browser of 2023 or later")
    page.close()


def test_the_label_of_a_timeline_says_its_numbers(page: Any) -> None:
    """Its text names what the training thread did, with units."""
    strip = page.locator("#timeline .figure").first.get_attribute("aria-label")
    assert strip.startswith("Timeline of the threads in step 67, 183 ms; training ")


def test_wide_tables_scroll_within_their_region(page: Any) -> None:
    """On a phone the table of stages scrolls by itself, and by the arrow keys."""
    page.set_viewport_size({"width": 390, "height": 900})
    region = page.locator("#matrix .scroll").first
    assert region.evaluate("(it) => it.scrollWidth > it.clientWidth + 100")
    region.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab from the top of the page until that element has the focus."""
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    for _ in range(300):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab never reaches {selector}")


def test_everything_works_by_keyboard(browser: Any, files: dict[str, Path]) -> None:
    """Folds open, tables filter and sort, the flame graph changes."""
    page = opened(browser, files["input_bound"]).page
    tab_to(page, "#functions summary")
    page.keyboard.press("Enter")
    assert page.locator("#functions-table").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("augment-1 DATA.py")
    assert page.locator("#functions-table tbody tr:visible").count() == 2
    tab_to(page, "#functions-table th button")
    page.keyboard.press("Space")
    first = page.locator("#functions-table thead th").first
    assert first.get_attribute("aria-sort") == "ascending"
    tab_to(page, "#flame-stage")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "document.getElementById('flame-figure').dataset.drawn === 'flame-1'"
    )
    label = page.locator("#flame-figure").get_attribute("aria-label")
    assert label.endswith(" that ran in forward")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.locator("#flame-key-gil").is_visible()
    page.close()


@pytest.mark.parametrize("name", ["input_bound", "both"])
def test_focus_goes_down_the_page_and_can_be_seen(
    browser: Any, files: dict[str, Path], name: str
) -> None:
    """Tab visits things in the order of the page, each with an outline.

    The first is a link that shows itself, and leads past the contents.
    """
    page = opened(browser, files[name]).page
    last = 0
    for number in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        place, outline, left, text = page.evaluate(
            """(() => {
              const active = document.activeElement;
              return [[...document.querySelectorAll('*')].indexOf(active),
                      getComputedStyle(active).outlineStyle,
                      active.getBoundingClientRect().left, active.textContent];
            })()"""
        )
        assert place > last
        assert outline != "none"
        if not number:
            assert text.startswith("Skip to the ")
            assert left >= 0
        last = place
    assert last > 0
    tab_to(page, ".skip")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    page.close()
