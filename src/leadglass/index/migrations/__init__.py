"""Alembic's folder: owns every table of the database, the audit tables too."""
