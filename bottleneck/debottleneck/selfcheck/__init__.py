"""How far the attribution can be trusted, and what it costs, on this machine."""
