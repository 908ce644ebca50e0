"""What the archive knows about its instances: schema, search, location. SQLAlchemy Core, one file."""

from leadglass.index.index import Index

__all__ = ["Index"]
