"""Of which kind a failure for good is: the closed set that dead letters are sorted by. Pure."""

from enum import StrEnum


class FailureClass(StrEnum):
    """Why a trigger is not tried again by itself."""

    # The error passes by itself, and the node's attempts are used up.
    EXHAUSTED = "exhausted"
    # The same would be answered again: an address that can't be, credentials that are refused.
    PERMANENT = "permanent"
    # The message may have been sent: a person has to look it up at the provider.
    IN_DOUBT = "in_doubt"
    # It came too late to be of use, and was dropped.
    EXPIRED = "expired"
    # The trigger's version or its stored state can't be run here any more.
    UNRUNNABLE = "unrunnable"


BY_CODE = {
    "outcome_unknown": FailureClass.IN_DOUBT,
    "expired": FailureClass.EXPIRED,
    "invalid_definition": FailureClass.UNRUNNABLE,
    "invalid_state": FailureClass.UNRUNNABLE,
}


def class_of(code: str, *, is_transient: bool) -> FailureClass:
    """Return the class of the error that ended a trigger."""
    otherwise = FailureClass.EXHAUSTED if is_transient else FailureClass.PERMANENT
    return BY_CODE.get(code, otherwise)
