"""Presets by name, the free form, and a workflow's default."""

from datetime import timedelta
from typing import Any

import pytest

from execution.retry import delay_after
from tests.factories import EMAIL, SMS, definition
from tests.unit.workflows.reading import faults, found, found_in, parsed_message
from workflows.definition import parse_definition
from workflows.nodes import MessageNode, RetryPolicy
from workflows.retry_policies import PRESETS


def schedule(policy: RetryPolicy) -> list[float]:
    """Return the seconds between the attempts, with dice that leave the planned waits as they are."""
    waits = (
        delay_after(policy, failures=failures, is_transient=True, retry_after=None, dice=0.5)
        for failures in range(1, policy.max_attempts + 1)
    )
    return [wait.total_seconds() for wait in waits if wait is not None]


def policies(**fields: Any) -> dict[str, RetryPolicy]:
    """Return the policies of an email that names none and an SMS that does, in a workflow with these fields."""
    raw = definition(EMAIL, {**SMS, "retry": {"max_attempts": 2}}, **fields)
    nodes = parse_definition(raw).graph.nodes.values()
    return {node.id: node.retry for node in nodes if isinstance(node, MessageNode)}


@pytest.mark.parametrize(
    ("name", "waits"),
    [("none", []), ("standard", [2, 4]), ("quick", [2, 4, 8]), ("patient", [60, 300, 900, 3600])],
)
def test_each_preset_has_its_schedule(name: str, waits: list[float]) -> None:
    policy = parsed_message(EMAIL, retry=name).retry

    assert (policy.max_attempts, schedule(policy)) == (len(waits) + 1, waits)


def test_the_presets_are_these() -> None:
    assert list(PRESETS) == ["none", "standard", "quick", "patient"]
    assert PRESETS["standard"] == RetryPolicy()


@pytest.mark.parametrize("name", ["", "fast", "Patient", "patient ", "x" * 100_000])
def test_another_name_is_refused_and_the_message_lists_the_presets(name: str) -> None:
    assert found_in({**EMAIL, "id": "it", "retry": name}) == [("nodes.1.retry", "unknown_preset")]
    [fault] = faults(definition({**EMAIL, "retry": name}))
    assert fault.message.endswith("known are: none, standard, quick, patient.")
    assert len(fault.message) < 200


def test_a_workflows_policy_is_that_of_the_nodes_that_name_none() -> None:
    assert policies(retry="patient") == {"mail": PRESETS["patient"], "text": RetryPolicy(max_attempts=2)}
    assert policies(retry={"intervals_s": [5]})["mail"] == RetryPolicy(intervals=(timedelta(seconds=5),))
    assert policies()["mail"] == RetryPolicy()


def test_a_nodes_policy_stands_for_itself() -> None:
    """It takes nothing of the workflow's: neither its intervals nor its number of attempts."""
    assert policies(retry={"max_attempts": 7, "intervals_s": [5]})["text"] == RetryPolicy(max_attempts=2)


@pytest.mark.parametrize(
    ("retry", "fault"),
    [
        ("fast", ("retry", "unknown_preset")),
        (5, ("retry", "invalid_type")),
        (None, ("retry", "invalid_type")),
        ({"max_attempts": 0}, ("retry.max_attempts", "out_of_range")),
        ({"backoff": {"jitter": 1}}, ("retry.backoff.jitter", "unknown_field")),
    ],
)
def test_what_is_wrong_with_a_workflows_policy_is_told_once_with_its_path(
    retry: object, fault: tuple[str, str]
) -> None:
    assert found(definition(EMAIL, SMS, retry=retry)) == [fault]
