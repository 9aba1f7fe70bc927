"""A definition in words."""

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import DELAY, EMAIL, SMS, definition
from workflows.words import Exit, describe, icon_of, in_words


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(0), "0 seconds"),
        (timedelta(milliseconds=1), "0.001 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=90.5), "1 minute 30.5 seconds"),
        (timedelta(hours=24), "1 day"),
        (timedelta(days=3660, minutes=1), "3,660 days 1 minute"),
    ],
)
def test_a_duration_in_words(duration: timedelta, words: str) -> None:
    assert in_words(duration) == words


@pytest.mark.parametrize(
    ("node", "timing"),
    [
        (DELAY, "waits 1 day"),
        ({"id": "wait", "type": "delay", "delay_ms": 1500}, "waits 1.5 seconds"),
        ({"id": "wait", "type": "delay", "duration": "P1Y"}, "waits P1Y"),
        (EMAIL, "3 attempts, after 2 seconds, then 2 times as long each time, 1 hour at most"),
        ({**EMAIL, "retry": {"max_attempts": 1}}, "1 attempt"),
        ({**EMAIL, "retry": {"intervals_s": [60, 300]}}, "3 attempts, after 1 minute, 5 minutes"),
        (
            {**SMS, "retry": {"max_attempts": 2, "backoff": {"base_s": 0.5, "factor": 3}}, "on_doubt": "hold"},
            (
                "2 attempts, after 0.5 seconds, then 3 times as long each time, 1 hour at most; "
                "held when it is unknown whether it was sent"
            ),
        ),
        ({**EMAIL, "retry": "patient"}, "5 attempts, after 1 minute, 5 minutes, 15 minutes, 1 hour (patient)"),
        ({**EMAIL, "retry": "none", "ttl_s": 300}, "1 attempt (none); dropped 5 minutes after its turn came"),
        (
            {**EMAIL, "retry": {"max_attempts": 1}, "on_failure": "continue"},
            "1 attempt; the workflow goes on when it fails",
        ),
    ],
)
def test_when_a_node_runs_in_words(node: dict[str, Any], timing: str) -> None:
    assert describe(definition(node))[0].timing == timing


def test_a_workflows_policy_is_told_of_the_nodes_that_name_none() -> None:
    mail, text = describe(definition(EMAIL, {**SMS, "retry": "none"}, retry="quick"))

    assert mail.timing == "4 attempts, after 2 seconds, then 2 times as long each time, 1 hour at most (quick)"
    assert text.timing == "1 attempt (none)"


def test_policies_are_not_texts_that_are_said() -> None:
    (mail,) = describe(definition({**EMAIL, "retry": "none", "on_failure": "continue", "on_doubt": "hold"}))

    assert [name for name, _ in mail.texts] == ["subject", "body"]


def test_a_node_tells_its_texts_and_where_it_leads() -> None:
    mail, text = describe(definition(EMAIL, SMS, edges=[("mail", "text", "x > 1")]))

    assert mail.texts == (("subject", "Order {{ order.id }}"), ("body", "Hi {{ recipient.name }}"))
    assert mail.exits == (Exit("text", "x > 1"),)
    assert (mail.is_entry, text.is_entry, text.exits) == (True, False, ())


def test_a_type_without_an_icon_gets_a_common_one() -> None:
    assert (icon_of("email"), icon_of("carrier-pigeon")) == ("mail", "bolt")
