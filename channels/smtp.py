"""Django's SMTP backend, made to know how far a message got before its connection broke."""

import smtplib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

SERVICE_CLOSING = 421
# What a server says to DATA when it will take the body; before that, it has none of it.
START_MAIL_INPUT = 354


class StaleConnectionError(Exception):
    """Say that a kept connection turned out closed before the server had any of the message's body."""


class _Smtp(smtplib.SMTP):
    """Note when the body of a message is under way: from the server's consent until the answer to its last line."""

    is_body_under_way = False

    def getreply(self) -> tuple[int, bytes]:
        answer = super().getreply()
        self.is_body_under_way = answer[0] == START_MAIL_INPUT
        return answer

    def data(self, msg: Any) -> tuple[int, bytes]:
        try:
            return super().data(msg)
        except smtplib.SMTPResponseException:
            # The server did not want the body. smtplib resets the transaction after every other refusal; left open,
            # this one would have the next message refused as a nested MAIL command.
            with suppress(smtplib.SMTPServerDisconnected):
                self.rset()
            raise


class _SmtpOverTls(_Smtp, smtplib.SMTP_SSL):
    pass


class EmailBackend(smtp.EmailBackend):
    """Keep one connection between messages and say what became of a message when it broke."""

    _partial_connection: smtplib.SMTP | None
    _has_carried = False  # whether the open connection has served a message before

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        """Name the client class; Django calls it with host, port and time limit."""
        return _SmtpOverTls if self.use_ssl else _Smtp

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether the server may have the last message although it gave no answer."""
        return isinstance(self.connection, _Smtp) and self.connection.is_body_under_way

    def open(self) -> bool | None:
        """Open the connection unless it is open; see Django's backend."""
        is_new = super().open()
        if is_new:
            self._has_carried = False
        return is_new

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send over the open connection.

        Raises StaleConnectionError when the server had closed the kept connection before it got a body: then
        nothing was handed over, and sending again over a new connection doubles nothing.
        """
        try:
            return super().send_messages(email_messages)
        except smtplib.SMTPException as error:
            if self._has_carried and not self.is_in_doubt and _has_hung_up(error):
                self.abandon()
                raise StaleConnectionError from error
            raise
        finally:
            self._has_carried = True

    def abandon(self) -> None:
        """Drop the connection without a word to the server, which may no longer listen."""
        for connection in (self.connection, self._partial_connection):
            if connection is not None:
                connection.close()
        self.connection = self._partial_connection = None


def _has_hung_up(error: smtplib.SMTPException) -> bool:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return any(code == SERVICE_CLOSING for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code == SERVICE_CLOSING
    return isinstance(error, smtplib.SMTPServerDisconnected)
