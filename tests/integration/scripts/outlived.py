"""Train until the file that the argument names is there; leave a mark, exit with 5."""

import os
import sys
import time

go, mark = sys.argv[1:]


def load_batch(index):
    time.sleep(0.004)
    return [index]


def forward(batch):
    time.sleep(0.002)
    return batch[0]


def update(loss):
    return loss


step = 0
while not os.path.exists(go):
    update(forward(load_batch(step)))
    step += 1
    if step == 30:
        print("training", flush=True)
with open(mark, "w") as file:
    file.write("finished\n")
print("done", flush=True)
sys.exit(5)
