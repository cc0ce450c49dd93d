"""The door for everything outside Dagster's UI: one FastAPI application, with Dagster's UI behind it."""
