"""Each page in both looks: drawn whole and in silence, for a screen reader too.

Nothing is cut and nothing overflows, on a phone and on a desk; axe-core looks at it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import pytest
from browsing import Opened, opened

FIGURES = {
    **dict.fromkeys(("input_bound", "gil_bound", "healthy", "no_steps"), None),
    **dict.fromkeys(("killed", "hostile", "predicted", "none"), None),
    **{"both": 7, "evil": 7, "recorded": 6, "one": 5},
}
"""Page -> how many figures a comparison has."""

LOOKS = ((1280, "light"), (390, "dark"))
PHONE_FIRST = ("gil_bound", "no_steps", "hostile", "both", "one")
AXE = ("predicted", "gil_bound", "no_steps", "killed", "both")
READ = ("predicted", "gil_bound", "both")

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
"""Pixels: figures fit on a screen, on a phone too."""


CONTRAST = """() => {
  const channel = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const bright = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255)
    + 0.0722 * channel(b / 255);
  const paper = parse(getComputedStyle(document.body).backgroundColor);
  const behind = (text) => {
    const slice = text.closest("g.slice, g.point");
    const shape = slice && slice.querySelector("path");
    if (!shape) return paper;
    const [box, own] = [shape.getBoundingClientRect(), text.getBoundingClientRect()];
    const [x, y] = [own.left + own.width / 2, own.top + own.height / 2];
    if (x < box.left || x > box.right || y < box.top || y > box.bottom) return paper;
    const fill = parse(getComputedStyle(shape).fill);
    return fill.length === 4 && fill[3] === 0 ? paper : fill;
  };
  const weak = [];
  for (const text of document.querySelectorAll(".figure svg text")) {
    if (!text.textContent.trim()) continue;
    if (text.style.visibility === "hidden" || !text.getClientRects().length) continue;
    const ink = bright(parse(getComputedStyle(text).fill)) + 0.05;
    const ground = bright(behind(text)) + 0.05;
    const ratio = Math.max(ink, ground) / Math.min(ink, ground);
    if (ratio < 4.5) weak.push([text.textContent, Math.round(10 * ratio) / 10]);
  }
  return weak;
}"""


def problems(page: Any) -> list[str]:
    """What axe-core finds, with the first place of each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['impact']} {one['id']}: {one['nodes'][0]['html'][:200]}" for one in found
    ]


def assert_images_are_told(page: Any) -> None:
    """Each is an image with a text of its own, and has a caption on how to read it."""
    labels = page.evaluate(
        """[...document.querySelectorAll('.figure[role=img]')].map(
             (one) => one.ariaLabel)"""
    )
    assert len(labels) == page.locator(".figure").count()
    assert len(set(labels)) == len(labels)
    assert all(len(label) > 20 for label in labels)
    captions = page.locator("figure:has(.figure) figcaption").all_text_contents()
    assert len(captions) == len(labels)
    assert all(caption.strip() for caption in captions)


def look(seen: Opened, name: str, width: int) -> None:
    """Texts of a figure lie in it, it on a screen, all else in the window."""
    page = seen.page
    areas = page.evaluate(AREAS)
    assert all(area > 0 for area in areas)
    assert len(areas) == (FIGURES[name] or len(areas))
    assert areas or name in ("killed", "none")
    assert page.evaluate(CUT) == []
    assert page.evaluate(WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert max(page.evaluate(HEIGHTS), default=0) <= SCREEN
    if name in READ:
        assert page.locator(".figure svg text").count() > 20
        assert page.evaluate(CONTRAST) == []
    assert page.evaluate("window.pwned") is None
    assert seen.said == []
    assert seen.left == []


@pytest.mark.parametrize("name", FIGURES)
def test_a_page_is_whole_silent_and_accessible(
    browser: Any, files: dict[str, Path], name: str
) -> None:
    """As it is opened, unfolded, and after the window and the colours have changed."""
    first, second = reversed(LOOKS) if name in PHONE_FIRST else LOOKS
    seen = opened(browser, files[name], *first)
    page = seen.page
    assert page.evaluate("document.documentElement.scrollWidth") <= first[0]
    if name == "both":
        assert problems(page) == []
    browsing.unfold(page)
    look(seen, name, first[0])
    if name in AXE:
        assert problems(page) == []
        assert_images_are_told(page)
    browsing.change(page, *second)
    look(seen, name, second[0])
    page.close()
