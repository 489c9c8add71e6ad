"""Print what each export of a ten-minute run costs.

`python tests/benchmarks/export_speed.py`. The recording is that of `long_runs`; seconds
are of the processor, peak memory is that of this process, the analysis included.
"""

from __future__ import annotations

import resource
import time

import long_runs

from debottleneck.analysis.analyse import analyse
from debottleneck.report.exports import collapsed, perfetto

RENDERERS = {
    "collapsed": collapsed.render,
    "perfetto": perfetto.render,
}


def main() -> None:
    """Render each format once."""
    analysis = analyse(long_runs.recording())
    for name, render in RENDERERS.items():
        before = time.process_time()
        size = len(render(analysis)) / 1e6
        seconds = time.process_time() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{name}: {size:.1f} MB in {seconds:.1f} s, peak memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
