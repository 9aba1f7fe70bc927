"""Rows as arrays: what PostgreSQL reads is what was meant."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext

from triggers.arrays import Integers, Moments, Texts, Uuids
from triggers.sql import run

pytestmark = pytest.mark.django_db

MOMENTS = [
    datetime(2025, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    None,
    datetime(2025, 3, 1, 14, tzinfo=timezone(timedelta(hours=2))),
]
TEXTS = ["", "plain", "ünï \U0001f600", None, '{"a": "b,c"}', "x" * 70_000]


def test_each_kind_of_array_arrives_as_it_was() -> None:
    ids = [uuid4() for _ in range(3)]

    ((found_ids, numbers, texts, moments),) = run(
        "SELECT $1::uuid[], $2::int[], $3::text[], $4::timestamptz[]",
        [Uuids(ids), Integers([0, -1, 2**31 - 1]), Texts(TEXTS), Moments(MOMENTS)],
    )

    assert (found_ids, numbers, texts, moments) == (ids, [0, -1, 2**31 - 1], TEXTS, MOMENTS)


def test_bytes_are_taken_for_utf_8() -> None:
    assert run("SELECT $1::text[]", [Texts(['{"a":"ü"}'.encode(), None])]) == [(['{"a":"ü"}', None],)]


def test_arrays_of_nothing_are_empty() -> None:
    nothing = [Uuids([]), Integers([]), Texts([]), Moments([])]

    assert run("SELECT $1::uuid[], $2::int[], $3::text[], $4::timestamptz[]", nothing) == [([], [], [], [])]
    assert run("SELECT * FROM unnest($1::uuid[])", [Uuids([])]) == []


def test_what_the_database_can_not_hold_is_its_error() -> None:
    with pytest.raises(DataError):
        run("SELECT $1::text[]", [Texts(["a\x00b"])])


def test_statements_are_told_where_queries_are_counted() -> None:
    with CaptureQueriesContext(connection) as queries:
        run("SELECT 1 + $1::int", [2])

    assert [query["sql"] for query in queries] == ["SELECT 1 + $1::int"]
