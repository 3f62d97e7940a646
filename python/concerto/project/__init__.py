"""`Concerto.toml`: found, read, and checked as far as no program is needed for it."""
