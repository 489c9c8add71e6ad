"""Frameworks themselves, where they are installed: what their loops mark."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from running import SOURCES, Profile

from debottleneck import load_recording
from debottleneck.recording.spool import ENTER, STEP_START

SCRIPTS = {
    "jax": (
        """
        import jax
        import jax.numpy as jnp

        def loss(weights, batch):
            return jnp.mean((batch @ weights) ** 2)

        @jax.jit
        def run(weights, batch):
            error, gradient = jax.value_and_grad(loss)(weights, batch)
            return weights - 0.1 * gradient, error

        assert run.lower(jnp.ones(4), jnp.ones((8, 4))).compile()
        assert jax.eval_shape(run, jnp.ones(4), jnp.ones((8, 4)))[0].shape == (4,)
        assert isinstance(run, jax.stages.Wrapped)
        weights = jnp.ones(4)
        for _ in range(20):
            weights, error = run(weights, jnp.ones((8, 4)))
        """,
        {"backward": 8},
    ),
    "sklearn": (
        """
        import numpy
        from sklearn.linear_model import SGDClassifier
        from sklearn.neural_network import MLPClassifier

        data, labels = numpy.random.random((16, 4)), numpy.arange(16) % 2
        for model in SGDClassifier(), MLPClassifier((4,)):
            for _ in range(5):
                model.partial_fit(data, labels, classes=[0, 1])
        """,
        {"update": 10},
    ),
    "xgboost": (
        """
        import numpy
        import xgboost

        class Watch(xgboost.callback.TrainingCallback):
            def after_iteration(self, model, epoch, log):
                return sum(range(100_000)) < 0

        data = numpy.random.random((50, 4))
        matrix = xgboost.DMatrix(data, data[:, 0] > 0.5)
        given = {"objective": "binary:logistic", "nthread": 1}
        xgboost.train(given, matrix, 20, callbacks=[Watch()])
        """,
        {"step": 20, "update": 20, "log": 20},
    ),
    "lightgbm": (
        """
        import lightgbm
        import numpy

        def slow(env):
            sum(range(100_000))

        data = numpy.random.random((50, 4))
        given = {"objective": "binary", "verbose": -1, "num_threads": 1}
        held = lightgbm.Dataset(data, data[:, 0] > 0.5)
        lightgbm.train(given, held, 20, callbacks=[slow])
        """,
        {"step": 20, "update": 20, "log": 20},
    ),
    "keras": (
        """
        import importlib.util, os
        found = importlib.util.find_spec("jax")
        os.environ["KERAS_BACKEND"] = "jax" if found else "torch"
        import keras
        import numpy

        class Note(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                sum(range(100_000))

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        data = numpy.random.random((80, 4))
        held = (data[:8], data[:8, :1])
        for _ in range(2):
            model.fit(data, data[:, :1], batch_size=8, epochs=2, verbose=0,
                      callbacks=[Note()], validation_data=held)
        """,
        {"step": 40, "log": 40, "evaluate": 4},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_framework_marks_its_loop(
    name: str, tmp_path: Path, profile: Profile
) -> None:
    """Rounds, updates and the user's callbacks are marked as often as they ran."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    source, expected = SCRIPTS[name]
    script = tmp_path / "train.py"
    script.write_text(dedent(source), encoding="utf-8")
    done, folder = profile(script, "--no-waits", "--no-stacks", "--no-functions")
    assert done.returncode == 0, done.stderr
    recording = load_recording(folder)
    marks = recording.marks.merge(recording.sites, on=["pid", "site"])
    edges = np.where(marks["kind"] == "framework", STEP_START, -1)
    begun = (marks["edge"] == ENTER) | (marks["edge"] == edges)
    entries = Counter(marks["stage"][begun])
    found = {stage: min(entries[stage], count) for stage, count in expected.items()}
    assert found == expected


LIBRARY = """
import time

class Booster:
    def update(self):
        time.sleep(0.003)

    eval_train = eval_valid = save_model = update
"""

ENGINE = """
from lightgbm.basic import Booster

class CVBooster:
    def __getattr__(self, name):
        raise AttributeError(name)

def train(rounds, callbacks=None):
    booster = Booster()
    for epoch in range(rounds):
        booster.update()
        for each in callbacks or []:
            each(epoch)

cv = train
"""

LOOPS = {
    "by itself": (
        "lightgbm.engine.train(30, callbacks=[print])",
        False,
    ),
    "for each of several folds": (
        "for fold in range(6):\n    lightgbm.engine.train(20)",
        False,
    ),
    "round by round in a loop of the user's": (
        "for _ in range(60):\n    booster.update()",
        True,
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_the_loop_that_trains_is_the_framework_s_or_the_user_s(
    name: str, tmp_path: Path, profile: Profile
) -> None:
    """Where the framework begins several steps in each iteration, it is its own."""
    loop, is_own = LOOPS[name]
    library = tmp_path / "site-packages" / "lightgbm"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("import lightgbm.engine\n")
    (library / "basic.py").write_text(LIBRARY)
    (library / "engine.py").write_text(ENGINE)
    script = tmp_path / "train.py"
    script.write_text(f"import lightgbm\nbooster = lightgbm.basic.Booster()\n{loop}\n")
    options = ("--no-waits", "--no-stacks", "--no-functions")
    path = f"{library.parent}:{SOURCES}"
    done, folder = profile(script, *options, env={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    recording = load_recording(folder)
    chosen = recording.loops[recording.loops["rank"] == 0]
    kinds = chosen.merge(recording.sites, on=["pid", "site"])["kind"]
    assert ("loop" in set(kinds)) == is_own
    begun = recording.marks.merge(recording.sites, on=["pid", "site"])
    begun = begun[(begun["kind"] == "framework") & (begun["stage"] == "step")]
    assert len(begun) >= 30
