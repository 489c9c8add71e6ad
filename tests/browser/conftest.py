"""The browser, and the pages as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import examples
import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One chromium for a file of tests; without it they are skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if not browsing.CHROMIUM.exists():
        pytest.skip(f"needs {browsing.CHROMIUM}")
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=str(browsing.CHROMIUM),
            headless=True,
            args=browsing.ARGUMENTS,
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every example's page as a file, "pair" of two recordings, "asked" of what if."""
    folder = tmp_path_factory.mktemp("pages")
    texts = {name: browsing.run_page(name) for name in examples.EXAMPLES}
    texts["pair"] = browsing.both_sides()
    texts["asked"] = browsing.asked_page()
    made = {name: folder / f"{name}.html" for name in texts}
    for name, path in made.items():
        path.write_text(texts[name], encoding="utf-8")
    return made
