"""Source root, not a package: `bottleneck` on PyPI is PyData's NumPy accelerator."""

raise ImportError("`bottleneck` is PyData's package; this project is `debottleneck`")
