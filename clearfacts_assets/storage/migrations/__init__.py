"""Alembic's scripts for our tables, run by storage/migrate.py."""
