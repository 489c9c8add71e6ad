"""The comparison's page in a real browser: verdict first, silent, foldable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import comparisons
import pytest
from browsing import opened


@pytest.fixture(scope="module")
def shown(browser: Any, files: dict[str, Path]) -> Any:
    """The page of both recordings and all tables, opened once."""
    return opened(browser, files["both"]).page


@pytest.fixture
def page(shown: Any) -> Any:
    """It, as it was opened."""
    browsing.restore(shown)
    return shown


def test_folded_figures_are_drawn_when_opened(
    browser: Any, files: dict[str, Path]
) -> None:
    """None is drawn before: here by a link in the contents."""
    page = opened(browser, files["both"]).page
    flame = page.locator("#flame .figure").first
    assert flame.locator("svg").count() == 0
    page.locator("nav a", has_text="Flame graphs").click()
    page.wait_for_function(
        "document.querySelector('#flame .figure').dataset.drawn === 'flame-before-0'"
    )
    assert flame.is_visible()
    page.close()


def corners(page: Any, section: str) -> list[tuple[float, float]]:
    """Left and top of the section's two figures, in pixels."""
    boxes = page.evaluate(
        """(section) => [...document.querySelector(section).querySelectorAll('.figure')]
          .map((figure) => {
            const box = figure.getBoundingClientRect();
            return [box.left, box.top + scrollY];
          })""",
        section,
    )
    return [(left, top) for left, top in boxes]


def test_timelines_share_their_axis(page: Any) -> None:
    """One above the other, so that a place on the axis is the same time in both."""
    before, after = corners(page, "#timeline")
    assert before[0] == after[0]
    assert after[1] > before[1] + 100
    ranges = page.evaluate(
        """[...document.querySelectorAll('#timeline .figure')].map((figure) =>
          [figure.layout.xaxis.range[1], figure._fullLayout._size.w])"""
    )
    assert ranges[0] == pytest.approx(ranges[1])


def test_trials_sort_by_speed(page: Any) -> None:
    """The slowest first, then the fastest; what was not measured is the slowest."""
    header = page.locator("#trials-table thead th", has_text="speed-up")
    header.locator("button").click()
    names = page.locator("#trials-table tbody th").all_inner_texts()
    assert header.get_attribute("aria-sort") == "descending"
    assert names[0] == "prefetch with 4 threads, 8 ahead\nprefetch:workers=4,depth=8"
    assert names[-1] == "parallel forward\nparallel-forward"


def test_no_row_of_the_trials_is_hidden(page: Any) -> None:
    """The table of trials is as high as its rows and as wide as the page."""
    inside, outside = page.evaluate(
        """(() => {
          const box = document.querySelector('#trials .scroll');
          return [[box.scrollWidth, box.scrollHeight],
                  [box.clientWidth, box.clientHeight]];
        })()"""
    )
    assert inside[0] <= outside[0]
    assert inside[1] <= outside[1]


def test_the_button_copies_the_code(page: Any) -> None:
    """By keyboard, from a file, with the lines as they are typed.

    Where pages may not write it, the text is marked, and the page says so.
    """
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.focus("[data-copies=keep-code]")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#keep output').value === 'Copied.'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "\n".join(comparisons.faster().keep)
    page.evaluate(
        """() => {
          document.execCommand = () => false;
          navigator.clipboard.writeText = () => Promise.reject(new Error('refused'));
        }"""
    )
    page.click("[data-copies=run-command]")
    page.wait_for_function(
        "document.querySelectorAll('#keep output')[1].value.startsWith('Selected')"
    )
    selected = page.evaluate("getSelection().toString()")
    assert selected.strip() == comparisons.faster().run


def test_the_verdict_is_seen_before_any_figure(page: Any) -> None:
    """On the first screen: the sentence and its answers; no figure above the table."""
    bottom = page.locator("dl.verdict").bounding_box()
    assert bottom["y"] + bottom["height"] < 900
    tops = [top for _, top in corners(page, "main")]
    table = page.locator("#trials-table").bounding_box()["y"]
    assert min(top for top in tops if top > 0) > table


def test_lines_of_source_keep_their_shape(page: Any) -> None:
    """Numbers stand in one column; the hot line has a sign and a ground of its own."""
    page.set_viewport_size({"width": 390, "height": 900})
    lefts = page.evaluate(
        """[...document.querySelectorAll('.source .line code')].map((code) =>
          Math.round(code.getBoundingClientRect().left))"""
    )
    assert len(set(lefts)) == 1
    hot = page.locator(".source .hot")
    assert hot.count() == 1
    assert "\N{BLACK RIGHT-POINTING TRIANGLE}" in hot.inner_text()
    grounds = page.evaluate(
        """['.source .hot', '.source .line:not(.hot)'].map((line) =>
          getComputedStyle(document.querySelector(line)).backgroundColor)"""
    )
    assert grounds[0] != grounds[1]
