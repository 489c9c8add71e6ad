"""Lives in the tool's processes, beside the target."""
