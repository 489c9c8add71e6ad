"""What handing work over costs on this machine, measured once and kept."""
