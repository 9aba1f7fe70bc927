"""Tests: `unit` without a database, `integration` on real services, `e2e` with real processes, `chaos` on purpose."""
