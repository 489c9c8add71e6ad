"""What each strategy would gain, from one recording: the loop, simulated."""
