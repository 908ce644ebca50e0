"""Reads ``policy.toml`` table by table. What one line says is judged here; how lines agree, in ``checks``."""
