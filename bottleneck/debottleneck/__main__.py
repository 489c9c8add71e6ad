"""`python -m debottleneck` is `bottleneck`."""

import sys

from debottleneck.commands import main

if __name__ == "__main__":
    sys.exit(main())
