"""The embedded profile: web, worker and beat as threads of one process, on SQLite and an in-memory broker.

It runs the same code as the full profile; only what is around it differs (DESIGN section 10).
"""
