"""Email over a real SMTP conversation: what arrives, what each failure means, what it leaves to the next message."""

import socket
import time
from collections.abc import Callable

import pytest
from pytest_django import Settings

from channels.contract import PermanentSendError, Receipt, SendError, Session, TransientSendError
from tests.fakes.messages import MESSAGE_KEY, email_message
from tests.fakes.smtp import FakeSmtp, Stage

OpenSession = Callable[[], Session]


def failure(session: Session, **fields: str) -> SendError:
    with pytest.raises(SendError) as failed:
        session.send(email_message(**fields))
    return failed.value


def subjects(server: FakeSmtp) -> list[str]:
    return [mail.message["Subject"] for mail in server.mails]


def test_both_parts_arrive_under_the_message_key(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    message = email_message(
        to="Änn <ann@bücher.example>", subject="Größe 17", body="Grüße\n.\nend", html_body="<p>Grüße</p>"
    )

    receipt = open_email().send(message)

    message_id = f"<{MESSAGE_KEY}@example.org>"
    assert receipt == Receipt(provider="smtp", message_id=message_id)
    [mail] = smtp_server.mails
    assert (mail.sender, mail.recipients) == ("notify@example.org", ("ann@xn--bcher-kva.example",))
    assert (mail.text(), mail.text("html")) == ("Grüße\n.\nend", "<p>Grüße</p>")
    headers = [mail.message[name] for name in ("Message-ID", "Subject", "From", "To")]
    assert headers == [
        message_id,
        "Größe 17",
        "NotifyFlow <notify@example.org>",
        "Änn <ann@xn--bcher-kva.example>",
    ]


def test_html_alone_arrives_as_html(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    open_email().send(email_message(body="", html_body="<p>hi</p>"))

    assert smtp_server.mails[0].message.get_content_type() == "text/html"


def test_second_attempt_carries_the_same_message_id(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()

    session.send(email_message())
    session.send(email_message())

    assert len({mail.message["Message-ID"] for mail in smtp_server.mails}) == 1


def test_one_session_is_one_connection(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()

    for number in range(5):
        session.send(email_message(subject=str(number)))

    assert (smtp_server.connections, subjects(smtp_server)) == (1, ["0", "1", "2", "3", "4"])


def test_closed_session_leaves_no_connection(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()
    session.send(email_message())

    session.close()

    assert smtp_server.commands[-1] == "QUIT"


@pytest.mark.parametrize(
    ("stage", "line", "is_transient", "code"),
    [
        ("MAIL", "451 4.3.0 Later", True, "deferred"),
        ("MAIL", "550 5.7.1 Not you", False, "sender_refused"),
        ("RCPT", "450 4.2.0 Greylisted", True, "deferred"),
        ("RCPT", "550 5.1.1 No such user", False, "recipient_refused"),
        ("DATA", "451 4.3.0 Later", True, "deferred"),
        ("DATA", "554 5.7.1 No", False, "message_refused"),
        ("BODY", "452 4.3.1 Disk full", True, "deferred"),
        ("BODY", "554 5.7.1 Spam", False, "message_refused"),
    ],
)
def test_refused_message_leaves_the_connection_to_the_next(
    open_email: OpenSession, smtp_server: FakeSmtp, *, stage: Stage, line: str, is_transient: bool, code: str
) -> None:
    session = open_email()
    smtp_server.reply(stage, line)

    error = failure(session, subject="refused")
    session.send(email_message(subject="next"))

    assert (error.is_transient, error.code, error.status_code) == (is_transient, code, int(line[:3]))
    assert error.is_in_doubt is False
    assert error.message == line
    assert (subjects(smtp_server), smtp_server.connections) == (["next"], 1)


@pytest.mark.parametrize(
    ("stage", "is_in_doubt"),
    [("CONNECT", False), ("EHLO", False), ("MAIL", False), ("RCPT", False), ("DATA", False), ("BODY", True)],
)
def test_broken_connection_is_replaced_for_the_next(
    open_email: OpenSession, smtp_server: FakeSmtp, stage: Stage, is_in_doubt: bool
) -> None:
    session = open_email()
    smtp_server.drop(stage)

    error = failure(session, subject="lost")
    session.send(email_message(subject="next"))

    assert (error.is_transient, error.code) == (True, "disconnected")
    assert error.is_in_doubt is is_in_doubt
    assert (subjects(smtp_server), smtp_server.connections) == (["next"], 2)


@pytest.mark.parametrize("stage", ["CONNECT", "MAIL", "RCPT", "BODY"])
def test_silent_server_is_left_after_the_time_limit(
    open_email: OpenSession, smtp_server: FakeSmtp, stage: Stage
) -> None:
    session = open_email()
    smtp_server.hang(stage, 5)

    began = time.monotonic()
    error = failure(session, subject="lost")
    waited = time.monotonic() - began
    session.send(email_message(subject="next"))

    assert (error.is_transient, error.code) == (True, "timeout")
    assert error.is_in_doubt is (stage == "BODY")
    assert waited < 2
    assert subjects(smtp_server) == ["next"]


def test_connection_closed_while_idle_costs_nothing(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()
    session.send(email_message(subject="first"))
    smtp_server.drop_connections()

    session.send(email_message(subject="second"))

    assert (subjects(smtp_server), smtp_server.connections) == (["first", "second"], 2)


@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
def test_server_that_has_had_enough_of_a_connection_costs_nothing(
    open_email: OpenSession, smtp_server: FakeSmtp, stage: Stage
) -> None:
    session = open_email()
    session.send(email_message(subject="first"))
    smtp_server.reply(stage, "421 4.7.0 Too many messages on this connection")

    session.send(email_message(subject="second"))

    assert (subjects(smtp_server), smtp_server.connections) == (["first", "second"], 2)


def test_new_connection_that_is_told_421_is_not_tried_again(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()
    smtp_server.reply("MAIL", "421 4.3.2 Shutting down")

    error = failure(session)

    assert (error.is_transient, error.code, error.status_code) == (True, "deferred", 421)
    assert smtp_server.connections == 1


@pytest.mark.parametrize("stage", ["RCPT", "MAIL"])
def test_refusal_is_told_although_the_server_hangs_up_behind_it(
    open_email: OpenSession, smtp_server: FakeSmtp, stage: Stage
) -> None:
    session = open_email()
    smtp_server.reply(stage, "550 5.7.1 Blocked")
    for following in ("RSET", "DATA"):
        smtp_server.drop(following)

    error = failure(session, subject="refused")

    assert (error.is_transient, error.status_code, error.message) == (False, 550, "550 5.7.1 Blocked")
    assert error.is_in_doubt is False


def test_refusal_is_told_although_what_follows_it_is_too_long_to_read(
    open_email: OpenSession, smtp_server: FakeSmtp
) -> None:
    session = open_email()
    smtp_server.reply("RCPT", "450 4.2.0 Greylisted")
    smtp_server.reply("DATA" if smtp_server.takes_pipelines else "RSET", "2" * 10_000)

    error = failure(session)

    assert (error.is_transient, error.code, error.status_code) == (True, "deferred", 450)


@pytest.mark.parametrize("stage", ["RCPT", "MAIL"])
def test_server_that_would_take_the_body_of_a_refused_message_gets_none(
    open_email: OpenSession, smtp_server: FakeSmtp, stage: Stage
) -> None:
    session = open_email()
    smtp_server.reply(stage, "550 5.7.1 Not that one")
    if smtp_server.takes_pipelines:
        smtp_server.reply("DATA", "354 Go on")

    error = failure(session, subject="refused")
    session.send(email_message(subject="next"))

    assert (error.is_transient, error.status_code, error.is_in_doubt) == (False, 550, False)
    assert subjects(smtp_server) == ["next"]
    assert smtp_server.connections == (2 if smtp_server.takes_pipelines else 1)


def test_lines_that_begin_with_a_period_arrive_as_they_were(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    body = ".\n..\n.hidden\nend.\n.\n"

    open_email().send(email_message(body=body))

    assert smtp_server.mails[0].text() == body


def test_message_whose_body_was_under_way_is_not_sent_again_by_itself(
    open_email: OpenSession, smtp_server: FakeSmtp
) -> None:
    session = open_email()
    session.send(email_message(subject="first"))
    smtp_server.drop("BODY")

    error = failure(session, subject="second")

    assert (error.is_transient, error.is_in_doubt) == (True, True)
    assert (subjects(smtp_server), smtp_server.connections) == (["first"], 1)


def test_stale_connection_with_nobody_behind_it_may_pass(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()
    session.send(email_message(subject="first"))
    smtp_server.drop_connections()
    smtp_server.reply("CONNECT", "554 5.3.2 No service")

    error = failure(session, subject="second")

    # A 5xx to the greeting says nothing about the message.
    assert (error.is_transient, error.code, error.status_code) == (True, "connection_refused", 554)


def test_connection_that_replaced_a_stale_one_is_not_replaced_again(
    open_email: OpenSession, smtp_server: FakeSmtp
) -> None:
    session = open_email()
    session.send(email_message(subject="first"))
    smtp_server.drop_connections()
    smtp_server.drop("MAIL")

    error = failure(session, subject="second")

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "disconnected", False)
    assert smtp_server.connections == 2


def test_nobody_listening_may_pass(settings: Settings, open_email: OpenSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        settings.EMAIL_PORT = unused.getsockname()[1]
    session = open_email()

    error = failure(session)

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "connection_failed", False)


def test_refused_text_never_reaches_the_server(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()

    with pytest.raises(PermanentSendError):
        session.send(email_message(subject="hi\nBcc: bob@x.org"))

    assert smtp_server.connections == 0


def test_server_without_starttls_is_the_operators_to_mend(
    settings: Settings, open_email: OpenSession, smtp_server: FakeSmtp
) -> None:
    settings.EMAIL_USE_TLS = True
    session = open_email()

    error = failure(session)

    assert (error.is_transient, error.code) == (True, "misconfigured")
    assert smtp_server.mails == []


def test_server_without_tls_is_the_operators_to_mend(
    settings: Settings, open_email: OpenSession, smtp_server: FakeSmtp
) -> None:
    settings.EMAIL_USE_SSL = True
    session = open_email()

    error = failure(session)

    assert (error.is_transient, error.code) == (True, "tls_failed")
    assert smtp_server.mails == []


def test_wrong_password_keeps_the_message_and_is_not_told(settings: Settings, open_email: OpenSession) -> None:
    with FakeSmtp(login=("ann", "right")) as server:
        settings.EMAIL_PORT = server.port
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "ann", "hush-hush"
        error = failure(open_email())

        settings.EMAIL_HOST_PASSWORD = "right"
        session = open_email()
        session.send(email_message())
        session.close()

    assert isinstance(error, TransientSendError)
    assert (error.code, error.status_code) == ("authentication_failed", 535)
    assert "hush" not in str(error)
    assert len(server.mails) == 1


def test_close_never_raises(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()
    session.send(email_message())
    smtp_server.reply("QUIT", "2" * 10_000)  # longer than smtplib bears

    session.close()
    session.close()


def test_closing_a_connection_that_is_gone_is_quiet(open_email: OpenSession, smtp_server: FakeSmtp) -> None:
    session = open_email()
    session.send(email_message())
    smtp_server.drop_connections()

    session.close()
