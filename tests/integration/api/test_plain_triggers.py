"""The plain case of `POST triggers/` answers as the general one does, and leaves to it whatever is not plain."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework.exceptions import ValidationError

from accounts.audit import SYSTEM, Action
from accounts.models import AuditEntry, User
from accounts.roles import Role
from notifyflow import front_door
from tests.conftest import access_token
from tests.factories import ANN, UserFactory, WorkflowFactory
from tests.integration.api.answers import signed_in
from triggers import plain
from triggers.insertion import NewTrigger, insert_new
from triggers.models import Trigger
from triggers.plain import Call
from triggers.serializers import LARGEST_RECIPIENT_BYTES, TriggerBodySerializer

URL = "/api/v1/triggers/"
GENERAL = {"Accept": "application/json, text/plain"}
BODY = {"workflow": "hello", "idempotency_key": "k", "recipient": ANN, "context": {"order": {"id": 17}}}
OF_EACH_ANSWER = {"Content-Length", "X-Request-ID", "RateLimit-Remaining", "RateLimit-Reset"}


@pytest.fixture
def operator(db: None) -> Client:
    """Return a client signed in as an operator."""
    return signed_in(UserFactory(role=Role.TRIGGER_OPERATOR))


def shown(answer: Any, *, but: set[str]) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name not in but}


def headers(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OF_EACH_ANSWER}


@pytest.mark.parametrize("more", [{}, {"priority": "critical"}])
def test_both_ways_give_the_same_answers(operator: Client, more: dict[str, str]) -> None:
    WorkflowFactory(key="hello")
    own = {"id", "idempotency_key", "available_at", "created_at", "updated_at"}

    made = [
        operator.post(URL, {**BODY, "idempotency_key": key, **more}, "application/json", headers=header)
        for key, header in [("plain", {}), ("general", GENERAL)]
    ]
    again = [operator.post(URL, {**BODY, **more}, "application/json", headers=header) for header in [{}, {}, GENERAL]]
    other = [
        operator.post(URL, {**BODY, "context": {}}, "application/json", headers=header) for header in [{}, GENERAL]
    ]

    assert [answer.status_code for answer in [*made, *again, *other]] == [202, 202, 202, 200, 200, 200, 200]
    assert shown(made[0], but=own) == shown(made[1], but=own)
    assert again[1].json() == again[2].json() == other[0].json() == other[1].json()
    for plain_one, general_one in [made, again[1:], other]:
        assert headers(plain_one) == headers(general_one)
    assert other[0].headers["Idempotent-Payload-Differs"] == "true"


def test_both_ways_are_audited_alike(operator: Client) -> None:
    WorkflowFactory(key="hello")
    for key, header in [("plain", {}), ("general", GENERAL)]:
        operator.post(URL, {**BODY, "idempotency_key": key}, "application/json", headers=header)
    entries = AuditEntry.objects.filter(action=Action.TRIGGER_CREATED.value)
    one, other = entries.values("actor_id", "actor", "role", "via", "key_prefix", "object_type", "address", "changes")
    assert one == other
    assert one["changes"] == {"workflow": "hello"}


@pytest.mark.parametrize(
    ("path", "header"),
    [
        (f"{URL}?format=json", {}),
        (URL, {"Idempotency-Key": "k"}),
        (URL, {"Accept": "application/xml"}),
        (URL, {"Content-Type": "application/json; charset=utf-16"}),
        (URL, {"Content-Length": "-1"}),
        (URL, {"Content-Length": str(LARGEST_RECIPIENT_BYTES + 1)}),
        (URL, {"Authorization": "Bearer x"}),
        (URL, {"Authorization": ""}),
    ],
)
def test_a_head_that_asks_for_more_is_not_plain(db: None, path: str, header: dict[str, str]) -> None:
    user = UserFactory(role=Role.TRIGGER_OPERATOR)
    head = {"Authorization": f"Bearer {access_token(user)}", **header}
    assert asked(user, BODY) is not None
    assert asked(user, BODY, path=path, head=head) is None


def asked(user: User, body: Any, *, path: str = URL, head: dict[str, str] | None = None) -> Any:
    head = head or {"Authorization": f"Bearer {access_token(user)}"}
    return plain.plain_request(Call(RequestFactory().post(path, body, "application/json", headers=head).META, "r"))


@pytest.mark.parametrize("role", [Role.WORKFLOW_MANAGER, Role.WORKER_SERVICE])
def test_who_may_not_trigger_is_not_plain(db: None, role: Role) -> None:
    assert asked(UserFactory(role=role), BODY) is None


def test_a_caller_past_the_limit_is_not_plain_and_no_request_counts_twice(operator: Client) -> None:
    User.objects.update(rate_limit=3)
    for _ in range(3):
        assert operator.post(URL, BODY, "application/json").status_code == 404  # there is no such workflow
    assert operator.post(URL, BODY, "application/json").status_code == 429


def answered(environ: dict[str, Any]) -> front_door.Answer | None:
    return front_door.answer(environ)


def environ_of(user: User, body: Any = BODY, path: str = URL, **more: Any) -> dict[str, Any]:
    head = {"Authorization": f"Bearer {access_token(user)}"}
    return RequestFactory().post(path, body, "application/json", headers=head, **more).environ


def test_what_is_plain_is_answered_before_django(operator: Client) -> None:
    WorkflowFactory(key="hello")
    user = User.objects.get()

    found = answered(environ_of(user, HTTP_X_REQUEST_ID="order-17"))

    assert found is not None
    headers = dict(found.headers)
    assert (found.status, headers["X-Request-ID"], headers["Cache-Control"]) == ("202 Accepted", "order-17", "no-store")
    assert int(headers["Content-Length"]) == len(found.body)
    assert json.loads(found.body)["id"] == str(Trigger.objects.get().pk)
    assert answered(environ_of(user)).status == "200 OK"  # type: ignore[union-attr]  # it is plain too


@pytest.mark.parametrize(
    "more",
    [
        {"HTTP_HOST": "elsewhere.example"},
        {"HTTP_ORIGIN": "https://shop.example"},
        {"path": f"{URL}bulk/"},
        {"REQUEST_METHOD": "GET"},
    ],
)
def test_what_django_has_to_look_at_is_left_to_it_with_its_body(
    operator: Client, settings: Settings, more: dict[str, str]
) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    environ = environ_of(User.objects.get(), **more)

    assert answered(environ) is None

    assert json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))) == BODY


def test_where_only_https_is_served_it_says_so_too(operator: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 3600
    front_door.middleware.cache_clear()
    WorkflowFactory(key="hello")
    user = User.objects.get()

    assert answered(environ_of(user)) is None
    found = answered(environ_of(user, secure=True))

    assert found is not None
    assert dict(found.headers)["Strict-Transport-Security"].startswith("max-age=3600")
    front_door.middleware.cache_clear()


def test_what_goes_wrong_is_told_by_django_and_done_once(operator: Client) -> None:
    answer = operator.post(URL, BODY, "application/json", headers={"X-Request-ID": "mine"})

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "unknown_workflow")
    assert answer.headers["X-Request-ID"] == "mine"


texts = st.text(max_size=6) | st.sampled_from(["hello", " hello", "a" * 100, "a" * 101, "k" * 255, "k" * 256, "\u2003"])
values = st.none() | st.booleans() | st.integers() | texts | st.dictionaries(texts, texts, max_size=2)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "workflow": texts | values,
        "idempotency_key": texts | values,
        "recipient": st.dictionaries(texts, values, max_size=2) | values,
        "context": st.dictionaries(texts, values, max_size=2) | values,
        "priority": st.sampled_from(["critical", "high", "medium", "low", "urgent", 1]) | values,
        "scheduled_at": st.sampled_from([None, "2030-01-01T00:00:00Z"]),
        "ttl_s": st.sampled_from([None, 5]),
        "other": values,
    },
)


@given(bodies)
def test_what_is_plain_means_the_same_to_the_general_way(body: dict[str, Any]) -> None:
    try:
        sent = json.dumps(body).encode()
    except UnicodeEncodeError:
        return
    found = plain.read(sent)
    serializer = TriggerBodySerializer(data=body, context={})
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError:
        assert found is None
    else:
        assert found is None or found == serializer.request()


def new(workflow: str, key: str) -> NewTrigger:
    return NewTrigger(
        named=workflow, idempotency_key=key, recipient={}, context={}, created_at=timezone.now(), by=SYSTEM
    )


@pytest.mark.django_db(transaction=True)
def test_inserters_of_the_same_keys_in_any_order_do_not_lock_each_other_out() -> None:
    WorkflowFactory(key="hello")
    keys = [f"key-{number:03}" for number in range(200)]

    def insert(order: list[str]) -> int:
        try:
            return sum(len(insert_new([new("hello", f"{turn}-{key}") for key in order])) for turn in range(5))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        made = sum(pool.map(insert, [keys, keys[::-1]]))

    assert made == Trigger.objects.count() == AuditEntry.objects.count() == 1000


@pytest.mark.django_db
def test_ids_and_keys_of_several_workflows_are_found_in_one_go() -> None:
    one, other = WorkflowFactory(key="one"), WorkflowFactory(key="other", priority=0)
    WorkflowFactory(key="asleep", is_active=False)
    news = [new("one", "a"), new(str(other.pk), "b"), new("asleep", "c"), new("nobody", "d"), new("one", "a")]

    made = insert_new(news)

    assert len(made) == 2
    assert {(each.workflow_id, each.idempotency_key) for each in Trigger.objects.all()} == {
        (one.pk, "a"),
        (other.pk, "b"),
    }
    assert [each.version is not None for each in news].count(True) == 2
    assert news[1].priority == 0
