"""Many rows made of one by the database itself, whatever columns its table has."""

from typing import Any

import psycopg

TABLES = "triggers_trigger, execution_step, execution_deadletter"
# Version 7 as RFC 9562 has it, of the moment in braces.
UUID7 = (
    "(lpad(to_hex((extract(epoch FROM {moment}) * 1000)::bigint), 12, '0')"
    " || '7' || lpad(to_hex(mod(n::int, 4096)), 3, '0') || '8' || substr(md5(random()::text), 1, 15))::uuid"
)
ORDER = "jsonb_set(t.context, '{order,id}', to_jsonb(n))"


def columns(database: psycopg.Connection[Any], table: str) -> list[str]:
    """Return the columns of a table that can be written."""
    sql = (
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position"
    )
    return [name for (name,) in database.execute(sql, [table])]


def multiply(
    database: psycopg.Connection[Any], source: str, *, prefix: str, first: int, last: int, **overrides: str
) -> None:
    """Insert copies of a trigger, numbered from `first` to `last`; `overrides` is SQL by column, with `n` and `t`.

    Each copy has an id of its own, made of `created_at`, and the key `<prefix>-<number>`.
    """
    moment = overrides.get("created_at", "clock_timestamp()")
    values = {
        "id": UUID7.format(moment=moment),
        "idempotency_key": f"'{prefix}-' || lpad(n::text, 9, '0')",
        "context": ORDER,
        **overrides,
    }
    names = columns(database, "triggers_trigger")
    into = ", ".join(f'"{name}"' for name in names)
    chosen = ", ".join(values.get(name, f't."{name}"') for name in names)
    database.execute(
        f"INSERT INTO triggers_trigger ({into}) SELECT {chosen}"
        " FROM triggers_trigger t, generate_series(%s::bigint, %s::bigint) n WHERE t.id = %s",
        [first, last, source],
    )


def forget(database: psycopg.Connection[Any]) -> None:
    """Empty the tables of triggers, so that each round begins with the same."""
    database.execute(f"TRUNCATE {TABLES} CASCADE")
