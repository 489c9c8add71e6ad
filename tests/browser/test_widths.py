"""All is drawn, nothing cut, nothing overflows: on a phone and on a desk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import examples
import pytest
from browsing import opened

PAGES = [*examples.EXAMPLES, "pair", "asked"]

AREAS = """[...document.querySelectorAll('.figure')].map((figure) => {
  const drawing = figure.querySelector('svg.main-svg, canvas');
  const box = drawing ? drawing.getBoundingClientRect() : {width: 0, height: 0};
  return box.width * box.height;
})"""

CUT = """() => [...document.querySelectorAll('.figure')].flatMap((figure) => {
  const box = figure.getBoundingClientRect();
  return [...figure.querySelectorAll('svg text')].filter((text) => {
    if (!text.textContent.trim() || text.style.visibility === 'hidden') return false;
    const it = text.getBoundingClientRect();
    return it.width > 0 && (it.left < box.left - 1 || it.right > box.right + 1
      || it.top < box.top - 1 || it.bottom > box.bottom + 1);
  }).map((text) => [figure.dataset.figure, text.textContent]);
})"""
"""Texts that reach beyond their figure's box; plotly hides what does not fit a bar."""

WIDE = """() => [...document.querySelectorAll('main *')].filter((one) =>
  !one.closest('.scroll, pre, svg, .heard, .ribbon .stage')
  && one.getBoundingClientRect().right > innerWidth + 1
).map((one) => one.outerHTML.slice(0, 120))"""
"""Elements that reach beyond the window, except in what scrolls or hides by itself."""

HEIGHTS = """[...document.querySelectorAll('.figure')].map(
  (one) => one.getBoundingClientRect().height)"""
SCREEN = 720
"""Pixels: figures fit on a screen, on a phone too, where names are slanted."""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_page_is_drawn_whole_and_in_silence(
    browser: Any, files: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    """Texts of a figure lie in it, it on a screen, all else in the window.

    Nothing is said or asked for, before and after every fold is open.
    """
    seen = opened(browser, files[name], width, scheme)
    page = seen.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    browsing.unfold(page)
    areas = page.evaluate(AREAS)
    assert all(area > 0 for area in areas)
    assert areas or name == "killed"
    assert page.evaluate(CUT) == []
    assert page.evaluate(WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert max(page.evaluate(HEIGHTS), default=0) <= SCREEN
    assert page.evaluate("window.pwned") is None
    assert seen.said == []
    assert seen.left == []
    page.close()


def test_wide_tables_scroll_within_their_region(
    browser: Any, files: dict[str, Path]
) -> None:
    """On a phone the table of stages scrolls by itself, and by the arrow keys."""
    page = opened(browser, files["input_bound"], 390).page
    region = page.locator("#matrix .scroll").first
    assert region.evaluate("(it) => it.scrollWidth > it.clientWidth + 100")
    region.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    page.close()
