"""Reports as JSON for scripts and CI; each module documents its schema."""
