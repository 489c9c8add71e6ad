"""Reports for the terminal: rich tables at a given width, verdict first."""
