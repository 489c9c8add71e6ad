"""What a user would set or write by hand, applied to a script as it is."""
