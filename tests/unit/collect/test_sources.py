"""Source lines kept with a recording: whose, how many, and what is left out."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pandas as pd
import pytest
from made_runs import table

from debottleneck.collect import sources
from debottleneck.collect.sources import AROUND, MeasuredScript, gather
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.recording import empty

LATER = 4e9
"""A run that begins after every file was written."""


def tables(
    *,
    stages: list[tuple[Path | str, int]] | None = None,
    frames: list[tuple[Path | str, int]] | None = None,
    functions: list[tuple[Path | str, int]] | None = None,
) -> dict[str, pd.DataFrame]:
    """A recording's tables that name these places."""
    sites = [
        (1, at, "load", "f", str(file), line, "function")
        for at, (file, line) in enumerate(stages or [])
    ]
    stacks = [
        (at, 0, "f", str(file), line) for at, (file, line) in enumerate(frames or [])
    ]
    called = [
        ("wall", 1, "main", "f", str(file), line, 1, 0, 100 - at)
        for at, (file, line) in enumerate(functions or [])
    ]
    return {
        **{name: empty(name) for name in COLUMNS},
        "sites": table("sites", sites),
        "frames": table("frames", stacks),
        "functions": table("functions", called),
    }


def numbered(path: Path, count: int = 100) -> Path:
    """A file whose lines say their numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"line {n}\n" for n in range(1, count + 1)))
    return path


def run(folder: Path, began_s: float = LATER) -> MeasuredScript:
    """A script in `folder`, started there."""
    return MeasuredScript(str(folder), "train.py", began_s)


def kept(found: pd.DataFrame) -> dict[str, list[int]]:
    """File name -> the numbers of its lines that were kept."""
    rows = found.groupby("file", sort=False)["line"]
    return {Path(str(file)).name: list(numbers) for file, numbers in rows}


def test_lines_around_every_place(tmp_path: Path) -> None:
    """Stages, stacks and functions alike; what overlaps is kept once, in order."""
    file = numbered(tmp_path / "train.py")
    named = tables(stages=[(file, 50)], frames=[(file, 52)], functions=[(file, 3)])
    found, missing = gather(named, run(tmp_path))
    assert missing == []
    first, second = range(1, 3 + AROUND + 1), range(50 - AROUND, 52 + AROUND + 1)
    assert found["line"].tolist() == [*first, *second]
    assert found["text"].tolist() == [f"line {n}" for n in found["line"]]
    assert set(found["file"]) == {str(file)}


def test_the_ends_of_a_file(tmp_path: Path) -> None:
    """A place at the end, or beyond it, gives the lines there are."""
    file = numbered(tmp_path / "train.py", 5)
    found, _ = gather(tables(frames=[(file, 5), (file, 90)]), run(tmp_path))
    assert found["line"].tolist() == [1, 2, 3, 4, 5]


def test_only_the_users_own_files(tmp_path: Path) -> None:
    """Below the run's folder or the script's, or beside a stage; no library's."""
    work, code = tmp_path / "work", tmp_path / "code"
    own = [work / "deep" / "a.py", code / "b.py", tmp_path / "lib" / "c.py"]
    marked = numbered(tmp_path / "lib" / "marked.py")
    foreign = [
        tmp_path / "elsewhere.py",
        work / ".venv" / "lib" / "python3.13" / "site-packages" / "torch.py",
        work / "py" / "lib" / "python3.12" / "queue.py",
        work / "usr" / "lib" / "python3" / "dist-packages" / "numpy.py",
    ]
    places = [(numbered(file), 1) for file in [*own, *foreign]]
    named = tables(stages=[(marked, 1), (foreign[1], 1), ("", 0)], frames=places)
    here = MeasuredScript(str(work), str(code / "train.py"), LATER)
    found, missing = gather(named, here)
    assert set(kept(found)) == {"a.py", "b.py", "c.py", "marked.py"}
    assert missing == []


def test_this_packages_own_files_are_not_the_users() -> None:
    """Even where it is developed, its frames are not shown as the user's code."""
    package = Path(sources.__file__).parents[1]
    frames = [(package / "agent" / "bootstrap.py", 5)]
    planted = (package / "selfcheck" / "planted" / "dial.py", 5)
    named = tables(stages=[planted], frames=frames)
    found, _ = gather(named, run(package.parent))
    assert set(kept(found)) == {"dial.py"}


@pytest.mark.parametrize(
    "name", ["<string>", "<frozen runpy>", "relative.py", "", "/", "/dev/null"]
)
def test_what_is_no_file_is_passed_over(tmp_path: Path, name: str) -> None:
    """Names that frames have and no file does give no lines and no error."""
    found, _ = gather(tables(frames=[(name, 3)]), run(tmp_path))
    assert found.empty


def test_a_file_that_changed_is_left_out(tmp_path: Path) -> None:
    """What was edited after the run began may not be what ran, and it is said."""
    old, new = numbered(tmp_path / "old.py"), numbered(tmp_path / "new.py")
    os.utime(old, (1000, 1000))
    os.utime(new, (3000, 3000))
    named = tables(frames=[(old, 1), (new, 1)])
    found, missing = gather(named, run(tmp_path, began_s=2000))
    assert set(kept(found)) == {"old.py"}
    assert [each.what for each in missing] == ["source lines"]
    assert "new.py changed after the run began" in missing[0].why
    assert missing[0].remedy


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Gone, a folder, or no text: all in one sentence, some by name."""
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "cookie.py").write_bytes(b"# coding: no-such-code\n")
    (tmp_path / "zip.py").write_bytes(b"# coding: zip\n")
    names = ["gone.py", "folder.py", "bytes.py", "cookie.py", "zip.py"]
    named = tables(frames=[(tmp_path / name, 1) for name in names])
    found, missing = gather(named, run(tmp_path))
    assert found.empty
    assert len(missing) == 1
    assert "and 2 more could not be read" in missing[0].why


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Opening one that nobody writes to would never end."""
    os.mkfifo(tmp_path / "pipe.py")
    found, missing = gather(tables(frames=[(tmp_path / "pipe.py", 1)]), run(tmp_path))
    assert found.empty
    assert "pipe.py could not be read" in missing[0].why


def test_text_as_python_decodes_it(tmp_path: Path) -> None:
    """A coding line, a byte order mark, any line end; a form feed ends no line."""
    latin = tmp_path / "latin.py"
    latin.write_bytes("# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    mark = tmp_path / "mark.py"
    mark.write_bytes(codecs.BOM_UTF8 + "a = 'ü'\r\nb = 1\x0c\rc = 2".encode())
    found, missing = gather(tables(frames=[(latin, 1), (mark, 1)]), run(tmp_path))
    texts = found.groupby("file")["text"].apply(list)
    assert missing == []
    assert texts[str(latin)] == ["# coding: latin-1", "name = 'é'"]
    assert texts[str(mark)] == ["a = 'ü'", "b = 1\x0c", "c = 2"]


def test_what_no_table_can_hold_is_replaced(tmp_path: Path) -> None:
    """Half of a surrogate pair, which some codings make, does not stop the saving."""
    file = tmp_path / "odd.py"
    file.write_bytes(b"# coding: utf-7\na = '+2AA-'\n")
    found, _ = gather(tables(frames=[(file, 2)]), run(tmp_path))
    found.to_parquet(tmp_path / "sources.parquet")
    assert found["text"].tolist()[1] == "a = '?'"


def test_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines are cut, huge files left out, stages come before functions."""
    wide = tmp_path / "wide.py"
    wide.write_text("x" * 1000 + "\n")
    huge = tmp_path / "huge.py"
    huge.write_bytes(b"\n" * (sources.MOST_BYTES + 1))
    found, missing = gather(tables(frames=[(wide, 1), (huge, 1)]), run(tmp_path))
    assert found["text"].str.len().tolist() == [sources.MOST_CHARACTERS]
    assert "huge.py had more than 2 MB" in missing[0].why
    monkeypatch.setattr(sources, "MOST_LINES", 20)
    some = numbered(tmp_path / "some.py")
    named = tables(stages=[(some, 50)], functions=[(some, 10), (some, 51)])
    found, missing = gather(named, run(tmp_path))
    assert found["line"].tolist() == list(range(50 - AROUND, 50 + AROUND + 1))
    assert "no more than 20 lines" in missing[0].why


def test_the_most_frequent_frames_come_first(tmp_path: Path) -> None:
    """Where there is no room for all, lines of many stacks are kept."""
    file = tmp_path / "train.py"
    frames: list[tuple[Path | str, int]] = [(file, 5), (file, 9), (file, 9)]
    named = tables(stages=[(file, 1)], frames=frames, functions=[(file, 7), (file, 0)])
    assert [line for _, line in sources.places_of(named)] == [1, 9, 5, 7]
