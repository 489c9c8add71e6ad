"""What the agent tells of PyTorch's DataLoaders, their workers and slow items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from marking import Marked, run_marked

from debottleneck.recording import told
from debottleneck.words import START_OF_WORKERS

pytestmark = pytest.mark.torch

SCRIPT = """
import json
import time
import torch
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, get_worker_info
from debottleneck.agent import torch as hooks

hooks.install(torch)
said = {}

class Rows(Dataset):
    def __len__(self):
        return 120

    def __getitem__(self, index):
        if index == 97:
            time.sleep(0.1)
        if index == 110 and said.get("fail"):
            raise IndexError("no such row")
        return torch.full((2,), float(index))

class Batches(Rows):
    def __getitems__(self, indices):
        return [self[index] for index in indices]

def total(loader):
    return sum(float(batch.sum()) for batch in loader)

plain = DataLoader(Rows(), batch_size=10)
said["alone"] = [total(plain), total(plain)]
several = DataLoader(Rows(), batch_size=10, num_workers=2)
said["several"] = [total(several), total(several)]
kept = DataLoader(Rows(), 10, shuffle=True, num_workers=1, persistent_workers=True)
said["kept"] = [total(kept), total(kept)]
del kept
said["batches"] = total(DataLoader(Batches(), batch_size=10, num_workers=1))
tensors = Subset(TensorDataset(torch.zeros(8)), range(4))
said["rows"] = len(list(DataLoader(tensors, batch_size=2)))
said["fail"] = True
try:
    total(several)
except IndexError as error:
    said["error"] = "no such row" in str(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Marked:
    """One process with PyTorch that iterates all of its loaders."""
    return run_marked(tmp_path_factory.mktemp("loaders"), SCRIPT)


def loaders_of(ran: Marked) -> list[Any]:
    """Of its loaders, in order."""
    return [*told.loaders(ran.folder, ran.pid)]


def test_batches_and_errors_are_the_scripts_own(ran: Marked) -> None:
    """Items are timed and the same; what one raises is raised."""
    whole = 2.0 * sum(range(120))
    assert json.loads(ran.output) == {
        **{name: [whole, whole] for name in ("alone", "several", "kept")},
        **{"batches": whole, "rows": 2, "fail": True, "error": True},
    }


def test_settings_are_told(ran: Marked) -> None:
    """Without workers once; with them at each start, those that stay once."""
    loaders = loaders_of(ran)
    assert [(one["loader"], one["workers"]) for one in loaders] == [
        *((0, 0), (1, 2), (1, 2), (2, 1), (3, 1), (4, 0), (1, 2)),
    ]
    kept = loaders[3]
    assert kept["persistent"]
    assert (kept["batch"], kept["prefetch"], kept["sampler"]) == (
        *(10, 2, "RandomSampler"),
    )
    assert kept["ordered"]
    assert [one["of_tensors"] for one in loaders].index(True) == 5


def test_workers_are_told_with_their_lives(ran: Marked) -> None:
    """Other processes at each epoch, ended before the next ones begin."""
    first, second = loaders_of(ran)[1:3]
    assert len({*first["pids"], *second["pids"]}) == 4
    assert first["start_ns"] < first["end_ns"] <= second["start_ns"]


def test_the_start_and_end_of_workers_are_marked(ran: Marked) -> None:
    """Between steps; the end of those that were ended before marks nothing."""
    texts = [mark.text for mark in ran.threads[ran.pid, ran.pid]]
    ends = [t.partition("*")[2] for t in texts if t.startswith(f"-{START_OF_WORKERS}")]
    assert sum(int(calls or 1) for calls in ends) == 2 * 5
    assert texts.count(f"+{START_OF_WORKERS}") == len(ends)


def test_a_slow_item_is_told_by_its_index(ran: Marked) -> None:
    """Of workers alone, where the data set gives items one by one."""
    items = told.slow_items(ran.folder)
    slow = [item for item in items if item["index"] == "97"]
    assert len(slow) >= 3  # of a shuffled epoch it may come too soon
    assert all(item["took_ns"] > 90e6 > 4 * item["usual_ns"] for item in slow)
    pids = {pid for one in loaders_of(ran) for pid in one["pids"]}
    assert {item["pid"] for item in slow} <= pids
