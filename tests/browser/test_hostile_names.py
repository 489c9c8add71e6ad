"""Names of threads, files, functions and arguments are text, whatever they hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import browsing
import comparisons
import examples
from browsing import Opened, opened

from debottleneck.report import render
from debottleneck.trials.result import Comparison

EVIL = " ".join(examples.HOSTILE)
"""Each of them is found by whatever it breaks out of, the others before it or not."""


def evil_comparison(evil: str) -> Comparison:
    """`comparisons.hostile` with that text wherever a text may stand."""
    base = comparisons.hostile()
    winner = replace(base.trials[0], spec=f"{evil}:workers=2", why=evil, did=(evil,))
    return replace(
        base,
        command=("train.py", evil),
        trials=(winner,),
        best=winner.spec,
        keep=(evil,),
        run=f"bottleneck run '{evil}'",
        notes=(evil,),
        environment={evil: {evil: evil}},
    )


def use_everything(page: Any) -> None:
    """Hover over every figure, open, click, sort, filter: whatever there is."""
    browsing.unfold(page)
    for figure in page.locator(".figure").all():
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        for part in (0.05, 0.5, 0.95):
            page.mouse.move(
                box["x"] + part * box["width"], box["y"] + part * box["height"]
            )
    for frame in page.locator(".figure g.slice").all()[:2]:
        frame.click(force=True)
    for button in page.locator("th button").all():
        button.click()
    for field in page.locator("input[type=search]").all():
        field.fill("<img src=x onerror=window.pwned=1>")
        field.fill("")
    for radio in page.locator("input[type=radio]").all():
        radio.check()
    for select in page.locator("select").all():
        select.select_option(index=1)
    page.wait_for_timeout(200)


def letters(text: str) -> str:
    """Without what a sentence sets differently: spaces, and backticks for code."""
    return "".join(text.replace("`", "").split())


def check(seen: Opened, before: int) -> None:
    """Nothing ran, was asked for or came into the page."""
    assert seen.page.evaluate("window.pwned") is None
    assert seen.said == []
    assert seen.left == []
    assert seen.page.locator("img, iframe, object, embed").count() == 0
    assert seen.page.locator("script").count() == before
    assert seen.page.locator("[href^=javascript], [onload], [onerror]").count() == 0
    seen.page.close()


def test_nothing_in_a_run_page_runs(browser: Any, tmp_path: Path) -> None:
    """Names stay what they are in tables and figures, whatever the reader does."""
    path = tmp_path / "run.html"
    path.write_text(
        render(examples.hostile(EVIL), "html"), encoding="utf-8", errors="replace"
    )
    seen = opened(browser, path)
    page = seen.page
    scripts = page.locator("script").count()
    assert letters(page.locator("h1").text_content()) == letters(EVIL)
    assert page.locator("#threads-table tbody th").first.text_content() == EVIL
    use_everything(page)
    shown = page.locator("#flame-figure text.slicetext").evaluate_all(
        "(texts) => texts.map((text) => text.textContent)"
    )
    assert any(EVIL in text for text in shown)
    check(seen, scripts)


def test_nothing_in_a_comparison_runs(browser: Any, tmp_path: Path) -> None:
    """Likewise names, strategies, commands and code of a comparison."""
    path = tmp_path / "pair.html"
    side = examples.hostile(EVIL)
    text = browsing.pair_page(evil_comparison(EVIL), side, side)
    path.write_text(text, encoding="utf-8", errors="replace")
    seen = opened(browser, path)
    scripts = seen.page.locator("script").count()
    use_everything(seen.page)
    check(seen, scripts)
