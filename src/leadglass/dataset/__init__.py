"""Data sets: bytes in, values out. The only room that knows pydicom; no I/O in it."""
