"""Which node types are known."""

from collections.abc import Iterator

import pytest

from channels.contract import TemplateField
from tests.factories import definition
from tests.unit.workflows.reading import found, parsed_message
from workflows import node_types
from workflows.node_types import MessageType, known_names, message_type, register

PUSH = MessageType("push", (TemplateField("title"), TemplateField("icon", is_required=False)))


@pytest.fixture
def push() -> Iterator[MessageType]:
    """Make `push` known for one test."""
    before = dict(node_types._message_types)
    register(PUSH)
    yield PUSH
    node_types._message_types.clear()
    node_types._message_types.update(before)


def test_every_channel_has_made_its_type_known() -> None:
    assert known_names() == ("email", "sms", "delay")


def test_an_email_has_one_of_two_bodies() -> None:
    email = message_type("email")

    assert email is not None
    assert [field.name for field in email.fields] == ["to", "subject", "body", "html_body"]
    assert email.required_any == (frozenset({"body", "html_body"}),)


@pytest.mark.parametrize("name", ["delay", "push", "", "EMAIL"])
def test_what_is_no_message_type_is_not_found(name: str) -> None:
    assert message_type(name) is None


def test_a_new_type_is_known_once_it_is_registered(push: MessageType) -> None:
    assert message_type("push") is push
    assert known_names() == ("email", "sms", "push", "delay")


def test_a_new_type_has_its_own_fields(push: MessageType) -> None:
    node = {"id": "ping", "type": push.name, "title": "Hi"}

    assert list(parsed_message(node).templates) == ["title"]
    assert found(definition({**node, "body": "x"})) == [("nodes.0.body", "unknown_field")]


def test_a_later_type_of_the_same_name_replaces_it(push: MessageType) -> None:
    later = MessageType(push.name, ())

    register(later)

    assert message_type("push") is later
    assert known_names() == ("email", "sms", "push", "delay")
