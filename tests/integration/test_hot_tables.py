"""The tables that each step writes to are vacuumed early and leave room in their pages (the first migrations)."""

import pytest
from django.db import connection

from execution.models import Step
from triggers.models import Trigger

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", [Trigger, Step])
def test_hot_tables_have_settings_of_their_own(model: type[Trigger | Step]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table])
        (options,) = cursor.fetchone()

    found = dict(option.split("=") for option in options)
    assert int(found["fillfactor"]) < 100
    assert float(found["autovacuum_vacuum_scale_factor"]) <= 0.02
    assert float(found["autovacuum_analyze_scale_factor"]) <= 0.05
