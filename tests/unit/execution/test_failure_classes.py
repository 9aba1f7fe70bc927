"""Of which kind a failure for good is."""

import pytest

from execution.expiry import EXPIRED
from execution.failure_classes import class_of
from execution.models import Step
from execution.work import outcome_unknown
from tests.unit.execution.unsaved import NOON


@pytest.mark.parametrize(
    ("code", "is_transient", "expected"),
    [
        ("server_unavailable", True, "exhausted"),
        ("invalid_address", False, "permanent"),
        (outcome_unknown(Step(node_id="mail", started_at=NOON), doubts=1)["code"], False, "in_doubt"),
        (EXPIRED, False, "expired"),
        ("invalid_definition", False, "unrunnable"),
        ("invalid_state", False, "unrunnable"),
    ],
)
def test_each_error_has_one_class(code: str, is_transient: bool, expected: str) -> None:
    assert class_of(code, is_transient=is_transient) == expected
