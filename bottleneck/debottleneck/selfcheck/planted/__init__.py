"""The loop that `selfcheck` runs, as plain scripts under any interpreter."""
