"""The version, read by the build and by `bottleneck --version`."""

__version__ = "0.1.0"
