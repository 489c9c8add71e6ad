"""The evidence shelf in `reports/`, held against the data that it is made of.

`python reports/make.py` fills it, `python reports/make.py --render` accepts what is
rendered now.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import make
import pandas as pd
import picture
import pytest

SHELF = Path(__file__).parents[2] / "reports"
MOST_BYTES = 16_000_000
MOST_PAGE_BYTES = 1_000_000
AGAIN = "make it with: python reports/make.py"


WORKLOADS = make.workloads()


def folder_of(workload: str) -> Path:
    """The workload's folder; the test ends here if there is none."""
    folder = SHELF / workload
    assert folder in make.shelved(SHELF), f"{folder} is not there: {AGAIN} {workload}"
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("workload", WORKLOADS)
def test_text_is_what_the_data_says(workload: str) -> None:
    """The committed text is, byte for byte, what is rendered of the data now."""
    folder = folder_of(workload)
    text = (folder / make.TEXT).read_bytes().decode("utf-8")
    assert text == make.text(folder), f"{AGAIN} --render"


@pytest.mark.parametrize("workload", WORKLOADS)
def test_page_stands_alone_and_is_small(workload: str) -> None:
    """A page holds what draws its figures, and asks for no file beside it."""
    page = (folder_of(workload) / make.PAGE).read_text(encoding="utf-8")
    assert 'id="plotly"' in page
    assert "<script src" not in page
    assert len(page) < MOST_PAGE_BYTES


def test_table_is_what_the_data_says() -> None:
    """The README is what is written of the data now, with a row for each workload."""
    readme = (SHELF / make.README).read_text(encoding="utf-8")
    assert readme == make.readme(SHELF), f"{AGAIN} --render"
    for workload in WORKLOADS:
        assert f"| [{workload}]({workload}/report.txt)" in readme


def test_picture_is_what_the_data_says() -> None:
    """README's picture is the terminal of the recording now."""
    drawn = (SHELF / picture.FILE).read_text(encoding="utf-8")
    assert drawn == picture.render(SHELF), f"{AGAIN} --render"
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


def test_ledger_is_what_the_data_says() -> None:
    """The table of predictions is that of the comparisons now, and a miss stays."""
    table = make.ledger.read(SHELF / make.ledger.FILE)
    assert (SHELF / make.ledger.FILE).is_file(), f"{AGAIN} --render"
    pd.testing.assert_frame_equal(table, make.predictions(SHELF))


def test_causes_are_of_predictions_on_the_shelf() -> None:
    """Each cause written by hand belongs to a row of the ledger."""
    table = make.predictions(SHELF)
    known = set(zip(table["workload"], table["spec"], strict=True))
    written = make.causes(SHELF)
    assert {(name, spec) for name in written for spec in written[name]} <= known


def test_every_folder_is_a_workload() -> None:
    """The shelf holds all workloads, and nothing that is none any more."""
    names = {path.name for path in SHELF.iterdir() if path.is_dir()}
    assert names - {"__pycache__"} == set(WORKLOADS)


def test_shelf_is_small() -> None:
    """All of it is a few megabytes."""
    files = [file for file in SHELF.rglob("*") if "__pycache__" not in file.parts]
    sizes = [file.stat().st_size for file in files if file.is_file()]
    assert len(sizes) > len(WORKLOADS), AGAIN
    assert sum(sizes) < MOST_BYTES


def test_no_folder_of_a_machine_is_named() -> None:
    """Nothing on the shelf tells where it was made."""
    assert make.shelved(SHELF), AGAIN
    assert make.machine_paths(SHELF) == []


def test_text_does_not_depend_on_the_machine(tmp_path: Path) -> None:
    """Terminal, language, time zone and working folder do not change a text."""
    folder = folder_of(WORKLOADS[0])
    code = "import sys, make, pathlib; t = make.text(pathlib.Path(sys.argv[1])); "
    code += "sys.stdout.buffer.write(t.encode())"
    strange = {
        "PYTHONPATH": str(SHELF),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "7",
        "LC_ALL": "C",
        "TZ": "Pacific/Chatham",
        "COLUMNS": "33",
        "FORCE_COLOR": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=tmp_path,
        env={**os.environ, **strange},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stdout == (folder / make.TEXT).read_bytes()
