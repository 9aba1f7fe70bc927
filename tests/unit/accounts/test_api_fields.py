"""Bodies say what they mean: a text is no number, 1 is not true, and an id is written as one."""

from typing import Any
from uuid import UUID

import pytest
from rest_framework import serializers

from accounts.api_fields import FlagField, IdField, NumberField, TextField

ID = "0193e5d2-7a41-7c3e-9f60-2b8d5a1c4e00"


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        (TextField(), "17", "17"),
        (FlagField(), True, True),
        (FlagField(), False, False),
        (NumberField(), 17, 17),
        (NumberField(), 17.0, 17),
        (IdField(), ID, UUID(ID)),
        (IdField(), ID.upper(), UUID(ID)),
    ],
)
def test_what_is_meant_is_read(field: serializers.Field[Any, Any, Any, Any], value: object, read: object) -> None:
    assert field.run_validation(value) == read


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (TextField(), 17),
        (TextField(), True),
        (FlagField(), 1),
        (FlagField(), "true"),
        (FlagField(), "yes"),
        (FlagField(), []),
        (NumberField(), "17"),
        (NumberField(), True),
        (NumberField(), 17.5),
        (NumberField(), [17]),
        (IdField(), 0),
        (IdField(), False),
        (IdField(), ID.replace("-", "")),
        (IdField(), f"{{{ID}}}"),
        (IdField(), f"urn:uuid:{ID}"),
        (IdField(), {}),
    ],
)
def test_what_only_looks_like_it_is_refused(field: serializers.Field[Any, Any, Any, Any], value: object) -> None:
    with pytest.raises(serializers.ValidationError) as refused:
        field.run_validation(value)

    assert refused.value.get_codes() == ["invalid"]
