"""The one gate (to be written)."""
