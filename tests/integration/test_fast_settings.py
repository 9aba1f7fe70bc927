"""What processes that carry the load are set to, each in a process of its own: the collector, prepared statements."""

import os
import subprocess
import sys

import pytest

from notifyflow.collector import THRESHOLDS

COLLECTOR = "import gc; print(gc.get_threshold(), gc.get_freeze_count() > 10_000)"
WEB = f"import notifyflow.wsgi; {COLLECTOR}"
WORKER = f"""
import django; django.setup()
from celery.signals import worker_process_init
import notifyflow.celery
worker_process_init.send(sender=None)
{COLLECTOR}
"""
PREPARED = """
import django; django.setup()
from django.db import connection
from triggers.sql import run
run("SELECT $1::int", [1])
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM pg_prepared_statements")
    print(cursor.fetchone()[0])
"""


def printed(code: str, **settings: str) -> str:
    command = [sys.executable, "-c", code]
    environment = {**os.environ, **settings}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("process", [WEB, WORKER], ids=["web", "worker"])
def test_the_collector_passes_over_what_is_loaded(process: str) -> None:
    assert printed(process) == f"{THRESHOLDS} True"


@pytest.mark.parametrize(("setting", "kept"), [("true", "1"), ("false", "0")])
def test_statements_are_prepared_unless_a_pooler_would_lose_them(setting: str, kept: str) -> None:
    assert printed(PREPARED, PREPARED_STATEMENTS=setting) == kept
