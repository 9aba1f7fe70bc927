"""What a channel promises to whoever sends through it; pure, and no provider is named here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Protocol, runtime_checkable

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class TemplateField:
    """Describe one Liquid template that a node of this channel carries.

    `default` is the Liquid source used when the node leaves the field out. An `is_html` field is rendered
    with its values escaped.
    """

    name: str
    is_required: bool = True
    default: str | None = None
    is_html: bool = False


class OutgoingMessage(Struct, frozen=True):
    """Carry the rendered text of one message.

    `message_key` is "<trigger uuid>.<node_id>": the same for every attempt of one node of one trigger, so a
    provider or a mailbox can recognise a repetition.
    """

    message_key: str
    fields: Mapping[str, str]


class Receipt(Struct, frozen=True):
    """Say who took the message over, and under which id it can be found there."""

    provider: str
    message_id: str


class SendError(Exception):
    """Say why a message did not leave. Raise one of the two subclasses, never this one.

    `code` is a stable word for people and filters, `message` a sentence without secrets, `status_code` the
    number the provider answered with (HTTP or SMTP), `retry_after` the pause the provider asked for.
    `is_in_doubt` is true when the provider may have taken the message although no clear answer came back:
    sending it again may then double it.
    """

    is_transient: ClassVar[bool]

    def __init__(
        self,
        *,
        provider: str,
        code: str,
        message: str,
        status_code: int | None = None,
        retry_after: timedelta | None = None,
        is_in_doubt: bool = False,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.code = code
        self.message = message
        self.status_code = status_code
        self.retry_after = retry_after
        self.is_in_doubt = is_in_doubt

    def __str__(self) -> str:
        return f"{self.provider}: {self.code}: {self.message}"


class TransientSendError(SendError):
    """Say that the same message may succeed later."""

    is_transient = True


class PermanentSendError(SendError):
    """Say that this message will never succeed, however often it is tried."""

    is_transient = False


class Session(Protocol):
    """Hold one connection to a provider: opened, used and closed by one thread, kept between sends."""

    def send(self, message: OutgoingMessage) -> Receipt:
        """Hand one message to the provider.

        Raises TransientSendError or PermanentSendError, and nothing else, when the provider or the message is
        at fault. Either way the session can send the next message.
        """

    def close(self) -> None:
        """Let the connection go. Never raises for provider trouble."""


@runtime_checkable
class Channel(Protocol):
    """Describe one way out: the node type that uses it, its templates, and how to open a session.

    Each set in `required_any` names fields of which a node must carry at least one.
    """

    node_type: str
    fields: tuple[TemplateField, ...]
    required_any: tuple[frozenset[str], ...]

    @property
    def provider(self) -> str:
        """Name the configured provider as receipts and steps show it."""

    @property
    def most_sessions(self) -> int:
        """Say how many sessions one process may have at once: providers limit the connections of a client."""

    def open(self) -> Session:
        """Open a session for the calling thread, without touching the network.

        Settings that make no sense do not raise here: each send of the session fails with `misconfigured`.
        """
