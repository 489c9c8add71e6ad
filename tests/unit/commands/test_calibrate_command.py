"""`bottleneck calibrate`: prices are measured once, printed, and measured again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from debottleneck.collect import prices as measure
from debottleneck.commands import main
from debottleneck.errors import BottleneckError
from debottleneck.recording.machine import Machine
from debottleneck.report import prices
from debottleneck.report.prices import PRICES

MACHINE = Machine(cores=2.0, wake_ns=41_500.0, measured="2026-11-01T10:00:00+00:00")
FILE = Path("/c/machine-1.json")


@dataclass
class Shelf:
    """Stands for the measurement: what is kept, and how often it was made."""

    kept: Machine | None = None
    measured: list[str] = field(default_factory=list)

    def measure(self, python: str) -> Machine:
        """As if it took its 4 seconds."""
        self.measured.append(python)
        self.kept = MACHINE
        return MACHINE


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Nothing is kept yet, and nothing is really measured."""
    made = Shelf()
    monkeypatch.setattr(measure, "kept", lambda python: made.kept)
    monkeypatch.setattr(measure, "measure", made.measure)
    monkeypatch.setattr(measure, "file", lambda python: FILE)
    return made


def test_it_is_measured_once(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time it is only printed; --again measures it anew."""
    assert main(["calibrate"]) == 0
    out, errors = capsys.readouterr()
    assert "measuring this machine" in errors
    assert main(["calibrate"]) == 0
    assert capsys.readouterr() == (out, "")
    assert len(shelf.measured) == 1
    assert main(["calibrate", "--again"]) == 0
    assert len(shelf.measured) == 2


def test_every_price_has_its_unit_and_meaning(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the table ends with when it was measured, and where it is kept."""
    assert main(["calibrate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    wake = next(line for line in lines if line.startswith("wake "))
    assert wake.split()[1:3] == ["41.5", "us"]
    assert "Measured  2026-11-01T10:00:00+00:00" in lines
    assert f"Kept in   {FILE}" in lines


def test_no_price_is_forgotten() -> None:
    """Each field of a machine is shown, or is of the loop at hand, or its date."""
    of_the_loop = ("slow_native", "measured")
    fields = [each.name for each in dataclasses.fields(Machine)]
    assert sorted([*(name for name, _, _ in PRICES), *of_the_loop]) == sorted(fields)


def test_strange_paths_do_no_harm() -> None:
    """An interpreter's name is printed without control characters."""
    said = prices.render(MACHINE, "/bin/\x1b[31mpython", FILE, 80)
    assert "\x1b" not in said


def test_a_measurement_that_fails_is_one_sentence(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do, and exit code 2."""

    def fails(python: str) -> Machine:
        raise BottleneckError("this machine could not be measured", "run it again")

    monkeypatch.setattr(measure, "measure", fails)
    assert main(["calibrate"]) == 2
    assert "could not be measured; run it again" in capsys.readouterr().err
