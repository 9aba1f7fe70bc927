"""Uploads over real sockets: bodies in chunks, bodies that end too early, and what is in the database meanwhile."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings as project
from django.db import connection

from notifyflow.wsgi import STREAMED
from tests.conftest import access_token
from tests.e2e.processes import BIN, Processes, answers, free_port, wait_until
from tests.factories import UserFactory, WorkflowFactory
from tests.integration.api.answers import JSON, errors_of
from tests.integration.api.test_over_the_wire import PATIENCE_SECONDS, Server, chunked, server
from triggers.models import BulkUpload, Trigger

pytestmark = pytest.mark.django_db(transaction=True)

NDJSON = "application/x-ndjson"
UPLOAD = f"POST {STREAMED}?workflow=known"
CHUNKED = "Transfer-Encoding: chunked"

__all__ = ["server"]


def line(number: int) -> bytes:
    """Return a line; all are of one length."""
    return json.dumps({"idempotency_key": f"k{number:06}", "context": {"a": "x" * 100}}).encode() + b"\n"


@contextmanager
def granian(folder: Path) -> Iterator[Server]:
    """Serve the project as the full profile does, from the test's database."""
    WorkflowFactory(key="known")
    port = free_port()
    database = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}"))
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "notifyflow.settings",
        "DATABASE_URL": database,
        "SECRET_KEY": project.SECRET_KEY,
    }
    options = ("--interface", "wsgi", "--no-ws", "--workers", "1", "--blocking-threads", "2", "--port", str(port))
    with Processes(folder, environment) as processes:
        processes.start("web", str(BIN / "granian"), *options, "notifyflow.wsgi:application")
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), seconds=60, what="granian answers")
        yield Server(port, access_token(UserFactory()))


def check_whole_bodies(server: Server) -> None:
    """Send uploads and a JSON body, with a length and in chunks; all are larger than what other calls read."""
    data = b"".join(line(number) for number in range(20_000))
    body = json.dumps(
        {"workflow": "known", "triggers": [{"idempotency_key": "k", "context": {"a": "x" * 250_000}}] * 9}
    )
    length = f"Content-Length: {len(data)}"

    first = server.ask(server.head(f"Content-Type: {NDJSON}", length, target=UPLOAD), data)
    again = server.ask(server.head(f"Content-Type: {NDJSON}", CHUNKED, target=UPLOAD), *chunked(data, 50_001))
    many = server.ask(
        server.head(f"Content-Type: {JSON}", CHUNKED, target=f"POST {STREAMED}"), *chunked(body.encode(), 65536)
    )

    assert (first.status_code, again.status_code, many.status_code) == (202, 202, 202)
    told = [json.loads(answer.content) for answer in (first, again)]
    assert [(each["state"], each["lines_read"], each["created"]) for each in told] == [
        ("finished", 20_000, 20_000),
        ("finished", 20_000, 0),
    ]
    assert json.loads(many.content)["created"] == 1
    assert Trigger.objects.count() == 20_001


def test_waitress_takes_uploads(server: Server) -> None:
    check_whole_bodies(server)


def test_granian_takes_uploads(tmp_path: Path) -> None:
    with granian(tmp_path) as served:
        check_whole_bodies(served)


def test_a_small_body_in_chunks_and_none_at_all_are_read_by_granian(tmp_path: Path) -> None:
    with granian(tmp_path) as served:
        kind = f"Content-Type: {NDJSON}"
        asked = [
            served.ask(served.head(kind, CHUNKED, target=UPLOAD), *chunked(line(1), 5)),
            served.ask(served.head(kind, CHUNKED, target=UPLOAD), *chunked(b"", 5)),
            served.ask(served.head(kind, "Content-Length: 0", target=UPLOAD)),
            served.ask(served.head(kind, target=UPLOAD)),
            served.ask(served.head(f"Content-Type: {JSON}", CHUNKED, target=f"POST {STREAMED}"), *chunked(b"{", 5)),
        ]

    assert [answer.status_code for answer in asked] == [202, 202, 202, 202, 400]
    assert [json.loads(answer.content)["lines_read"] for answer in asked[:4]] == [1, 0, 0, 0]
    assert errors_of(asked[4]) == [(None, "parse_error")]


def test_an_upload_is_stored_as_it_comes_and_says_how_far_it_got_when_it_breaks_off(tmp_path: Path) -> None:
    with granian(tmp_path) as served:
        head = served.head(f"Content-Type: {NDJSON}", f"Content-Length: {len(line(0)) * 10_000}", target=UPLOAD)
        with socket.create_connection(("127.0.0.1", served.port), PATIENCE_SECONDS) as wire:
            wire.sendall(head + b"".join(line(number) for number in range(5_000)))
            wait_until(lambda: Trigger.objects.count() >= 3000, seconds=PATIENCE_SECONDS, what="the first are stored")
            running = BulkUpload.objects.get()
            found = served.ask(served.head(target=f"GET {STREAMED}{running.pk}/"))
            wire.sendall(b'{"idempotency_key": "half"}')
        wait_until(
            lambda: BulkUpload.objects.get().state != "running", seconds=PATIENCE_SECONDS, what="the upload has ended"
        )

    assert json.loads(found.content)["state"] == "running"
    assert json.loads(found.content)["lines_read"] >= 3000
    told = BulkUpload.objects.get()
    assert (told.state, told.reason, told.lines_read, told.created) == ("broken_off", "connection_lost", 5000, 5000)
    assert Trigger.objects.count() == 5000
