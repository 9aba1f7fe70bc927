"""`POST /api/v1/triggers/bulk/` as NDJSON: a trigger a line, stored as they come; and `GET` of how far it has got."""

import json
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.api_keys import create_key
from accounts.audit import SYSTEM
from accounts.models import AuditEntry, User
from accounts.roles import Capability, Role
from accounts.strict_json import BodyTooLarge
from tests.factories import ANN, UserFactory, WorkflowFactory
from tests.integration.api.answers import call, errors_of, signed_in
from triggers.bulk import lines as lines_module
from triggers.bulk.lines import Lines
from triggers.bulk.uploads import UploadCut, begin_upload, store_lines
from triggers.models import BulkUpload, Trigger
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

URL = "triggers/bulk/"
NDJSON = "application/x-ndjson"


@pytest.fixture
def client(db: None) -> Client:
    """Return a client of a trigger operator."""
    return signed_in(UserFactory(role=Role.TRIGGER_OPERATOR, username="ann"))


def line(key: str, **more: Any) -> bytes:
    """Return a line of a file."""
    return json.dumps({"idempotency_key": key, "recipient": ANN, "context": {}, **more}).encode() + b"\n"


def upload(client: Client, data: bytes, workflow: str = "known", **more: Any) -> Any:
    """Send a file."""
    return call(client, "POST", f"{URL}?workflow={workflow}", data, content_type=NDJSON, **more)


def test_each_line_is_a_trigger_and_the_answer_says_what_they_came_to(client: Client) -> None:
    workflow = WorkflowFactory(key="known")
    first = upload(client, line("a") + line("b"), headers={"X-Request-ID": "r-17"})

    # Its last line doesn't end, and it begins with a byte order mark.
    again = upload(client, b"\xef\xbb\xbf" + line("b") + b"\r\n  \n" + line("c", priority="low")[:-1], str(workflow.pk))

    assert (first.status_code, again.status_code) == (202, 202)
    told = first.json()
    assert set(told) == {
        "id", "workflow", "workflow_key", "actor", "request_id", "state", "reason", "lines_read", "created",
        "existing", "rejected", "errors", "started_at", "updated_at", "finished_at",
    }  # fmt: skip
    assert (told["workflow"], told["workflow_key"], told["actor"]) == (str(workflow.pk), "known", "ann")
    assert (told["state"], told["reason"], told["request_id"]) == ("finished", "", "r-17")
    counts = ("lines_read", "created", "existing", "rejected")
    assert [[each.json()[name] for name in counts] for each in (first, again)] == [[2, 2, 0, 0], [4, 1, 1, 0]]
    assert sorted(Trigger.objects.values_list("idempotency_key", "priority")) == [("a", 2), ("b", 2), ("c", 3)]
    assert AuditEntry.objects.filter(action="trigger.created", actor="ann").count() == 3
    assert call(client, "GET", f"{URL}{told['id']}/").json() == told


def test_lines_that_are_wrong_are_told_and_keep_none_of_the_others_back(client: Client, settings: Settings) -> None:
    WorkflowFactory(key="known")
    settings.API_BODY_LIMIT_BYTES = 300_000
    data = [
        line("ok-1"), b"{\n", b"\xff\n", line("", color="red"), b"17\n", line("big", context={"a": "x" * 263_000}),
        b"x" * 400_000 + b"\n", line("ok-2"), b'{"idempotency_key": "\\u0000"}\n', b"[" * 70 + b"\n", line("ok-3"),
    ]  # fmt: skip

    told = upload(client, b"".join(data)).json()

    assert [(each["line"], each["attr"], each["code"]) for each in told["errors"]] == [
        (2, None, "parse_error"),
        (3, None, "parse_error"),
        (4, "idempotency_key", "blank"),
        (4, "color", "unknown_field"),
        (5, None, "invalid"),
        (6, "context", "context_too_large"),
        (7, None, "line_too_long"),
        (9, None, "parse_error"),
        (10, None, "parse_error"),
    ]
    assert "The line is not JSON" in told["errors"][0]["detail"]
    assert (told["state"], told["lines_read"], told["created"], told["rejected"]) == ("finished", 11, 3, 8)
    assert Trigger.objects.count() == 3


def test_all_that_is_refused_is_counted_and_the_first_hundred_faults_are_told(client: Client) -> None:
    WorkflowFactory(key="known")

    told = upload(client, (b"17\n" * 999 + line("k")) * 3).json()

    assert (told["lines_read"], told["rejected"], told["created"], told["existing"]) == (3000, 2997, 1, 2)
    assert [each["line"] for each in told["errors"]] == list(range(1, 101))


def test_an_empty_file_is_none_that_is_wrong(client: Client) -> None:
    WorkflowFactory(key="known")

    # Without a body, the test client sends no content type by itself.
    answers = [upload(client, data, CONTENT_TYPE=NDJSON) for data in (b"", b"\n")]

    assert [(answer.status_code, answer.json()["lines_read"]) for answer in answers] == [(202, 0), (202, 1)]


@pytest.mark.parametrize("media_type", [NDJSON.upper(), f"{NDJSON}; charset=utf-8"])
def test_the_media_type_may_be_written_as_http_has_it(client: Client, media_type: str) -> None:
    WorkflowFactory(key="known")

    answer = call(client, "POST", f"{URL}?workflow=known", line("k"), content_type=media_type)

    assert (answer.status_code, answer.json()["created"]) == (202, 1)


# --- an upload that ends before its end ---


class Feed(BytesIO):
    """A stream that tells, each time it is asked for more, how much is stored."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.seen: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.seen.append((Trigger.objects.count(), BulkUpload.objects.get().lines_read))
        return super().read(size)


def stored(stream: Any, *, length: int | None = None, longest: int = 10_000, limit: int = 10**9) -> Iterator[int]:
    """Begin an upload of a stream to the workflow `known`."""
    lines = Lines(stream, length=length, longest=longest, limit=limit)
    return store_lines(begin_upload(workflow="known", by=SYSTEM), lines, by=SYSTEM)


def test_each_chunk_is_stored_before_more_is_read() -> None:
    WorkflowFactory(key="known")
    feed = Feed(b"".join(line(f"k{number}") for number in range(3500)))

    assert list(stored(feed)) == [1000, 1000, 1000, 500]
    assert [trigger_count for trigger_count, _ in feed.seen] == [lines_read for _, lines_read in feed.seen]
    assert {1000, 2000, 3000} <= {lines_read for _, lines_read in feed.seen}


def test_a_chunk_ends_also_with_its_bytes() -> None:
    WorkflowFactory(key="known")
    large = {"a": "x" * 200_000}

    chunks = list(stored(BytesIO(b"".join(line(f"k{n}", context=large) for n in range(30))), longest=300_000))

    assert chunks == [21, 9]


def test_what_a_client_that_broke_off_has_sent_is_stored_and_the_whole_may_be_sent_again(client: Client) -> None:
    WorkflowFactory(key="known")
    whole = b"".join(line(f"k{number}") for number in range(1500))
    # A line that is cut may look like a whole one.
    cut = whole[: len(line("k0")) * 9] + b'{"idempotency_key": "half"}'

    with pytest.raises(UploadCut):
        list(stored(BytesIO(cut), length=len(whole)))

    broken = BulkUpload.objects.get()
    assert (broken.state, broken.reason, broken.lines_read, broken.created) == ("broken_off", "connection_lost", 9, 9)
    assert Trigger.objects.count() == 9
    told = upload(client, whole).json()
    assert (told["created"], told["existing"], Trigger.objects.count()) == (1491, 9, 1500)


def test_a_connection_that_fails_is_one_that_broke_off() -> None:
    WorkflowFactory(key="known")

    class Failing(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            if not found:
                raise ConnectionResetError
            return found

    with pytest.raises(UploadCut):
        list(stored(Failing(line("a") + b'{"idempotency_key": "half"}')))

    assert [trigger.idempotency_key for trigger in Trigger.objects.all()] == ["a"]


def test_past_the_limit_it_ends_and_what_came_before_is_stored(client: Client, settings: Settings) -> None:
    WorkflowFactory(key="known")
    settings.API_UPLOAD_LIMIT_BYTES = 100_000

    answer = upload(client, b"".join(line(f"k{number}") for number in range(1500)))

    told = call(client, "GET", URL).json()["results"][0]
    assert (answer.status_code, errors_of(answer)) == (413, [(None, "body_too_large")])
    assert (told["state"], told["reason"]) == ("broken_off", "body_too_large")
    assert 0 < told["lines_read"] == told["created"] == Trigger.objects.count() < 1000


def test_a_workflow_that_is_deactivated_in_between_takes_no_more() -> None:
    workflow = WorkflowFactory(key="known")
    steps = stored(BytesIO(b"".join(line(f"k{number}") for number in range(1500))))

    assert next(steps) == 1000
    Workflow.objects.filter(pk=workflow.pk).update(is_active=False)
    with pytest.raises(Exception, match="known"):
        next(steps)

    told = BulkUpload.objects.get()
    assert (told.state, told.reason, told.lines_read, Trigger.objects.count()) == (
        "broken_off", "workflow_inactive", 1000, 1000,
    )  # fmt: skip


def test_an_inactive_workflow_and_an_unknown_one(client: Client) -> None:
    WorkflowFactory(key="known", is_active=False)

    refused = [upload(client, line("a")), upload(client, line("a"), "nowhere")]

    assert [(answer.status_code, errors_of(answer)) for answer in refused] == [
        (409, [(None, "workflow_inactive")]),
        (404, [(None, "unknown_workflow")]),
    ]
    assert [(each.state, each.reason) for each in BulkUpload.objects.all()] == [("broken_off", "workflow_inactive")]


@pytest.mark.parametrize(
    ("name", "code"), [("", "required"), ("%20", "required"), ("x" * 101, "invalid"), ("%00", "invalid")]
)
def test_the_workflow_has_to_be_named(client: Client, name: str, code: str) -> None:
    answer = upload(client, line("a"), name)

    assert (answer.status_code, errors_of(answer)) == (400, [("workflow", code)])
    assert BulkUpload.objects.count() == 0


def test_an_upload_that_has_been_silent_for_long_counts_as_broken_off(client: Client) -> None:
    """Its process was killed; had it been alive, it would have said so."""
    WorkflowFactory(key="known")
    mine = User.objects.get(username="ann")
    running = BulkUpload.objects.create(
        workflow=Workflow.objects.get(), actor_id=mine.pk, started_at=timezone.now(), updated_at=timezone.now()
    )
    states = [call(client, "GET", f"{URL}{running.pk}/").json()["state"]]
    BulkUpload.objects.update(updated_at=timezone.now() - timedelta(minutes=11))
    states.append(call(client, "GET", f"{URL}{running.pk}/").json()["state"])

    assert states == ["running", "broken_off"]


# --- who sees which ---


def test_a_key_that_only_creates_sees_its_own_uploads(client: Client) -> None:
    WorkflowFactory(key="known")
    robot = UserFactory(role=Role.TRIGGER_OPERATOR, is_service=True)
    _, text = create_key(robot, scopes=frozenset({Capability.CREATE_TRIGGERS}), by=SYSTEM)
    shop = Client(headers={"Authorization": f"Bearer {text}"})
    theirs, own = upload(client, line("a")).json()["id"], upload(shop, line("b")).json()["id"]

    assert [each["id"] for each in call(shop, "GET", URL).json()["results"]] == [own]
    assert [call(shop, "GET", f"{URL}{each}/").status_code for each in (own, theirs)] == [200, 404]
    assert [each["id"] for each in call(client, "GET", URL).json()["results"]] == [own, theirs]


def test_uploads_are_found_by_workflow_and_request(client: Client) -> None:
    WorkflowFactory(key="known")
    WorkflowFactory(key="other")
    first = upload(client, line("a"), headers={"X-Request-ID": "r-17"}).json()["id"]
    second = upload(client, line("a"), "other").json()["id"]

    found = [
        [each["id"] for each in call(client, "GET", f"{URL}?{query}").json()["results"]]
        for query in ("workflow=other", "request_id=r-17", "workflow=nowhere")
    ]
    assert found == [[second], [first], []]


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "gone", "finished_at": timezone.now()},
        {"state": "finished"},
        {"state": "running", "finished_at": timezone.now()},
        {"state": "broken_off", "finished_at": timezone.now()},
        {"state": "finished", "finished_at": timezone.now(), "reason": "connection_lost"},
    ],
)
def test_the_database_holds_what_an_upload_can_be(wrong: dict[str, Any]) -> None:
    moments = {"started_at": timezone.now(), "updated_at": timezone.now()}

    with pytest.raises(IntegrityError), transaction.atomic():
        BulkUpload.objects.create(workflow=WorkflowFactory(), **moments, **wrong)


# --- lines ---


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_however_they_come(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", block)
    data = b"one\n\nthree\r\n" + b"x" * 10 + b"\n" + b"x" * 11 + b"\n" + b"x" * 500 + b"\nlast"

    found = [(each.number, each.text) for each in Lines(BytesIO(data), length=len(data), longest=10, limit=10**6)]

    assert found == [(1, b"one"), (2, b""), (3, b"three\r"), (4, b"x" * 10), (5, None), (6, None), (7, b"last")]


def test_a_stream_without_lines_takes_no_more_memory_than_one() -> None:
    block = b"x" * 65536

    class Endless(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return block

    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            list(Lines(Endless(), length=None, longest=100_000, limit=20_000_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
