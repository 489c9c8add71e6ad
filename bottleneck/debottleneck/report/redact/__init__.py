"""Recordings and comparisons without what should not leave the house."""
