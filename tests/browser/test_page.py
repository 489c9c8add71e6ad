"""The page in a real browser, opened from a file: drawn, quiet, usable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import examples
from browsing import opened

from debottleneck.report.html import run, sheet


def column(page: Any, table: str, number: int) -> list[float]:
    """A column's sort keys from top to bottom."""
    cells = page.locator(f"#{table} tbody tr td:nth-child({number})").all()
    return [
        float(cell.get_attribute("data-sort") or cell.inner_text()) for cell in cells
    ]


def test_clicking_a_header_sorts(browser: Any, files: dict[str, Path]) -> None:
    """First click: largest first; second: smallest first; the header says which."""
    page = opened(browser, files["input_bound"]).page
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
    page.close()


def test_typing_filters_the_functions(browser: Any, files: dict[str, Path]) -> None:
    """Only rows with every word typed stay, and the count says how many."""
    page = opened(browser, files["input_bound"]).page
    page.locator("#functions summary").click()
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


def test_long_tables_are_folded(browser: Any, files: dict[str, Path]) -> None:
    """A table beyond 12 rows waits behind a line that says how many it has."""
    page = opened(browser, files["input_bound"]).page
    fold = page.locator("#functions details.fold")
    assert fold.locator("summary").inner_text() == "All 15 functions"
    assert page.locator("#functions-table").is_hidden()
    fold.locator("summary").click()
    assert page.locator("#functions-table tbody tr:visible").count() == 15
    assert page.locator("#lines-table").is_visible()
    page.close()


def test_the_step_of_a_figure_can_be_read_in_numbers(
    browser: Any, files: dict[str, Path]
) -> None:
    """Each figure of steps has its numbers folded below it, longest bars included."""
    page = opened(browser, files["input_bound"]).page
    browsing.unfold(page)
    rows = page.locator("#steps-table tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows][-1] == "216 to 239"
    counts = page.locator("#distribution-table tbody td").all_inner_texts()
    assert sum(map(int, counts)) == 213
    strip = page.locator("#timeline-table tbody tr").first.inner_text()
    assert strip.startswith("MainThread\ttrainer\tload ")
    page.close()


def test_pages_can_share_a_script_file(browser: Any, tmp_path: Path) -> None:
    """A page made for a shelf draws with the file above it, and is small."""
    page = tmp_path / "one" / "report.html"
    page.parent.mkdir()
    page.write_text(run.render(examples.healthy(), "../plotly.js"), encoding="utf-8")
    (tmp_path / "plotly.js").write_text(sheet.plotly_file(), encoding="utf-8")
    assert page.stat().st_size < 300_000
    seen = opened(browser, page)
    assert seen.said == []
    assert seen.page.locator("#matrix .figure svg.main-svg").count() > 0
    assert seen.asked[1:] == [(tmp_path / "plotly.js").as_uri()]
    seen.page.close()


def test_without_the_script_file_the_page_says_so(browser: Any, tmp_path: Path) -> None:
    """Figures that cannot be drawn say why, and the tables still sort."""
    path = tmp_path / "report.html"
    path.write_text(run.render(examples.healthy(), "../gone.js"), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'none'")
    said = page.locator(".figure").all_inner_texts()
    assert {text.partition(";")[2] for text in said} == {
        " the tables hold the same numbers."
    }
    assert page.locator("[data-sortable] th button").count() > 0
    page.close()


def test_an_old_browser_gets_the_tables(browser: Any, files: dict[str, Path]) -> None:
    """Without DecompressionStream each figure's place says what it takes."""
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(files["healthy"].as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'none'")
    said = page.locator(".figure").first.inner_text()
    assert said.startswith("Figures need a browser of 2023 or later")
    page.close()
