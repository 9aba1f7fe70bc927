"""Django's backend for PostgreSQL, with a limit to how long an answer is waited for."""
