"""State that a strategy reads too early, or leaves in another process; or none."""

import hashlib
import sys
import time
from pathlib import Path

import numpy as np

KIND = sys.argv[1]
ROWS = np.random.default_rng(0).normal(size=(400, 8, 16))
LOG = open("read.txt", "w") if KIND == "lines" else None  # noqa: SIM115
params = [np.full((220, 220), 0.1 * place) for place in range(1, 5)]
average = [param.copy() for param in params]
weights = np.zeros(16)
seen = 0
level = 0.0


class Source:
    """Batches; at an epoch's end it draws a new order."""

    def __init__(self):
        self.rng = np.random.default_rng(7)
        self.order = np.arange(20)

    def load_batch(self, index):
        global seen
        time.sleep(0.002)
        if KIND == "counted":
            seen += 8
        elif KIND == "lines":
            LOG.write(f"{index}\n")
        return ROWS[self.order[index]] * (1 + level)


def forward(batch):
    return batch @ weights


def update(param, gradient):
    for _ in range(6):
        param -= 0.01 * np.sin(param * gradient)


source = Source()
for step in range(60):
    if KIND == "level" and step == 40:
        level = 0.5
    if KIND == "epochs" and step % 20 == 0:
        source.rng.shuffle(source.order)
    batch = source.load_batch(step % 20)
    slope = float(forward(batch).mean()) + 1
    weights = weights - 0.01 * batch.mean(axis=0)
    if KIND in ("average", "updates"):
        for param, mean in zip(params, average, strict=True):
            update(param, slope)
            if KIND == "average":
                mean *= 0.9
                mean += 0.1 * param
    else:
        time.sleep(0.002)
if LOG:
    LOG.close()
held = hashlib.md5(b"".join(part.tobytes() for part in [weights, *params, *average]))
lines = len(Path("read.txt").read_text().split()) if LOG else 0
print(held.hexdigest(), seen, lines)
