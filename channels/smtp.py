"""Django's SMTP backend, made to know how far a message got before its connection broke."""

import re
import smtplib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import cast

from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

from channels.letters import Letter

ACCEPTED = (250,)
ACCEPTED_FOR = (250, 251)
SERVICE_CLOSING = 421
# What a server says to DATA when it will take the body; before that, it has none of it.
START_MAIL_INPUT = 354
# A line that begins with a period gets another one (RFC 5321, 4.5.2).
_LEADING_PERIOD = re.compile(rb"^\.", re.MULTILINE)


class StaleConnectionError(Exception):
    """Say that a kept connection turned out closed before the server had any of the message's body."""


class _Smtp(smtplib.SMTP):
    """Hand over messages to one recipient each, and note when the body of one is under way.

    That is from the server's consent until the answer to its last line.
    """

    is_body_under_way = False

    def getreply(self) -> tuple[int, bytes]:
        answer = super().getreply()
        self.is_body_under_way = answer[0] == START_MAIL_INPUT
        return answer

    def hand_over(self, sender: str, recipient: str, content: bytes) -> None:
        """Hand over one message, of which each line ends with CRLF. Raises what `sendmail` raises.

        A server that allows it (RFC 2920) is sent the commands before the body in one go.
        """
        self.ehlo_or_helo_if_needed()
        size = f" size={len(content)}" if self.has_extn("size") else ""
        steps: tuple[tuple[str, tuple[int, ...], Callable[[int, bytes], smtplib.SMTPException]], ...] = (
            (f"mail FROM:<{sender}>{size}", ACCEPTED, partial(smtplib.SMTPSenderRefused, sender=sender)),
            (f"rcpt TO:<{recipient}>", ACCEPTED_FOR, partial(_recipient_refused, recipient=recipient)),
            ("data", (START_MAIL_INPUT,), smtplib.SMTPDataError),
        )
        is_pipelined = self.has_extn("pipelining")
        if any(end in command for command, _, _ in steps for end in "\r\n"):
            raise ValueError("an address has a line break")
        if is_pipelined:
            self.send("".join(f"{command}\r\n" for command, _, _ in steps))
        for number, (command, expected, refused) in enumerate(steps, start=1):
            if not is_pipelined:
                self.putcmd(command)
            code, words = self.getreply()
            if code not in expected:
                self._begin_anew(code, unread=len(steps) - number if is_pipelined else 0)
                raise refused(code, words)
        self.send(b"%b\r\n.\r\n" % _LEADING_PERIOD.sub(b"..", content.removesuffix(b"\r\n")))
        code, words = self.getreply()
        if code not in ACCEPTED:
            self._begin_anew(code)
            raise smtplib.SMTPDataError(code, words)

    def _begin_anew(self, code: int, *, unread: int = 0) -> None:
        """Leave the connection ready for the next message after a refusal, or closed where that can't be.

        `unread` answers are still to come, to commands that were sent along with the refused one.
        """
        if code == SERVICE_CLOSING:
            self.close()
            return
        # What the next message would meet is for the next message to say.
        with suppress(smtplib.SMTPException):
            for _ in range(unread):
                self.getreply()
                if self.is_body_under_way:  # the server waits for a body that is not to be sent
                    self.is_body_under_way = False
                    self.close()
                    return
            self.rset()


def _recipient_refused(code: int, words: bytes, *, recipient: str) -> smtplib.SMTPRecipientsRefused:
    return smtplib.SMTPRecipientsRefused({recipient: (code, words)})


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

    def _send(self, email_message: EmailMessage) -> bool:
        """Hand over one letter; Django's would take sender and recipient apart once more."""
        letter, connection = cast("Letter", email_message), cast("_Smtp", self.connection)
        connection.hand_over(letter.sender, letter.recipient, letter.as_bytes())
        return True

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
