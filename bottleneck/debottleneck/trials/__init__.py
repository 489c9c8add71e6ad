"""Interleaved trials of strategies: rounds, equality gate, verdicts."""
