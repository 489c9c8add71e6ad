"""Remedies of torch's own and of the interpreter, applied without an edit."""
