"""A database of an earlier development version is told of, rather than failing somewhere inside."""

import pytest
from django.core.management import CommandError
from django.db import connection

from notifyflow.old_tables import require_current_tables

pytestmark = pytest.mark.django_db


def test_a_current_database_is_taken() -> None:
    require_current_tables()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("ALTER TABLE accounts_user DROP COLUMN rate_limit", "accounts_user has no rate_limit"),
        ("DROP TABLE accounts_apikey", "accounts_apikey has no created_at"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(statement: str, what: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)

    with pytest.raises(CommandError, match=f"{what}.*start with an empty one"):
        require_current_tables()
