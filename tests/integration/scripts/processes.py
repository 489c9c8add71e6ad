"""Worker processes by the start method that the argument names."""

import multiprocessing
import os
import sys
from dataclasses import dataclass


@dataclass
class Batch:
    """Defined in __main__, sent between processes."""

    index: int
    rows: list


def load_batch(index):
    return Batch(index, [index] * 3)


def forward(queue, batch):
    queue.put((sum(batch.rows), __name__, os.getppid() == batch.index))
    sys.exit(batch.index % 2)


def main():
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        print(pool.map(load_batch, range(4)))
    queue = context.Queue()
    for index in range(2):
        process = context.Process(target=forward, args=(queue, load_batch(index)))
        process.start()
        print(queue.get())
        process.join()
        print("exit code", process.exitcode)


if __name__ == "__main__":
    main()
