"""Which node types exist beside `delay`: the message channels make themselves known here at start-up. Pure.

`execution` calls `register` for each channel, so that this room needn't know how messages leave.
"""

from dataclasses import dataclass
from typing import Protocol


class TemplateField(Protocol):
    """One Liquid template that a message node carries; channels give objects of this shape."""

    @property
    def name(self) -> str: ...
    @property
    def is_required(self) -> bool: ...
    @property
    def default(self) -> str | None: ...
    @property
    def is_html(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class MessageType:
    """A node type that sends; of each set in `required_any` at least one field must be given."""

    name: str
    fields: tuple[TemplateField, ...]
    required_any: tuple[frozenset[str], ...] = ()


DELAY = "delay"
_message_types: dict[str, MessageType] = {}


def register(message_type: MessageType) -> None:
    """Make a message type known; a later one of the same name replaces it."""
    _message_types[message_type.name] = message_type


def message_type(name: str) -> MessageType | None:
    """Return the message type called `name`, or None."""
    return _message_types.get(name)


def known_names() -> tuple[str, ...]:
    """Return every node type's name, in order of registration, `delay` last."""
    return (*_message_types, DELAY)
