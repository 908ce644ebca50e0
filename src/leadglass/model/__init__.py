"""The shared vocabulary. Pure: no I/O, no clock, no randomness."""
