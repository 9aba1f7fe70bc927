"""Which errors mean that the database is away, or takes no writes now, so that the same may work a moment later."""

from django.db import Error, InterfaceError, OperationalError

# On PostgreSQL: a standby, as right after a failover; a session that was idle in its transaction for too long.
PASSING_STATES = frozenset({"25006", "25P03"})
# A statement past one of PostgreSQL's own limits stays past it.
PROGRAM_LIMIT_CLASS = "54"
# SQLite puts every fault of its own under one class, also a table that is not there.
PASSING_SQLITE_FAULTS = tuple(f"SQLITE_{name}" for name in ("BUSY", "LOCKED", "IOERR", "CANTOPEN", "FULL", "READONLY"))


def is_away(error: BaseException | None) -> bool:
    """Say whether this is the database being away: refused, cut, starting, full, silent, locked or read-only."""
    if not isinstance(error, Error):
        return False
    cause = error.__cause__
    sqlite_fault = getattr(cause, "sqlite_errorname", None)
    if sqlite_fault is not None:
        return str(sqlite_fault).startswith(PASSING_SQLITE_FAULTS)
    state = getattr(cause, "sqlstate", None) or ""
    if isinstance(error, OperationalError | InterfaceError):
        return not state.startswith(PROGRAM_LIMIT_CLASS)
    return state in PASSING_STATES
