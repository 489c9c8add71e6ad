"""Which files are the user's own."""

from __future__ import annotations

import pytest

from debottleneck.recording.own import is_users_own


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("/home/u/work/train.py", True),
        ("./train.py", True),
        ("../net.py", True),
        ("/data/library/python/reader.py", True),
        ("/home/u/lib/reader.py", True),
        ("/tmp/ipykernel_7/1.py", True),
        ("/home/u/debottleneck/workloads/mlp.py", True),
        ("/home/u/debottleneck/agent/wrap.py", False),
        ("/home/u/work/.venv/lib/python3.13/site-packages/numpy/a.py", False),
        ("site-packages/numpy/core/a.py", False),
        ("/usr/lib/python3/dist-packages/yaml.py", False),
        ("/root/.pyenv/versions/3.11.7/lib/python3.11/queue.py", False),
        ("lib/python3.11/json/decoder.py", False),
        ("/usr/lib64/python3.12/random.py", False),
        ("<frozen runpy>", False),
        ("<string>", False),
        ("sklearn/linear_model/_sgd_fast.pyx", False),
        ("", False),
    ],
)
def test_whose_a_file_is(file: str, own: bool) -> None:
    """Neither a library's, nor Python's, nor ours, wherever else it lies."""
    assert is_users_own(file) is own
