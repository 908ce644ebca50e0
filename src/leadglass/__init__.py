"""Leadglass: a PACS that is closed by default."""

__version__ = "0.1.0"
