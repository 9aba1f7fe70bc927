"""Generated input against the running service: no 500, no status and no answer that is not documented."""
