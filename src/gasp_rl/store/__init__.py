"""One run, one folder, one SQLite file: what happened, readable while it happens."""
