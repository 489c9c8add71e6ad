"""The room in the middle: what a run left behind, frozen."""
