"""From fields to an email: parts, Message-ID, refusals."""

import pytest
from pytest_django import Settings

from channels.contract import PermanentSendError
from channels.email import compose, configured_secrets
from channels.email_addresses import parse_mailbox
from tests.fakes.messages import email_message

SENDER = parse_mailbox("NotifyFlow <notify@bücher.example>")


def refusal(**fields: str) -> PermanentSendError:
    with pytest.raises(PermanentSendError) as refused:
        compose(email_message(**fields), sender=SENDER, provider="smtp")
    return refused.value


def test_text_and_html_become_alternatives() -> None:
    email = compose(email_message(body="hi", html_body="<p>hi</p>"), sender=SENDER, provider="smtp").message()

    assert [part.get_content_type() for part in email.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize(
    ("fields", "content_type"),
    [
        ({"body": "hi"}, "text/plain"),
        ({"body": "hi", "html_body": " \n"}, "text/plain"),
        ({"body": "", "html_body": "<p>hi</p>"}, "text/html"),
        ({"body": "\n ", "html_body": "<p>hi</p>"}, "text/html"),
    ],
)
def test_one_body_alone_is_one_part(fields: dict[str, str], content_type: str) -> None:
    email = compose(email_message(**fields), sender=SENDER, provider="smtp").message()

    assert email.get_content_type() == content_type


def test_message_id_is_the_key_at_the_senders_domain() -> None:
    email = compose(email_message(message_key="abc.mail"), sender=SENDER, provider="smtp").message()

    assert email["Message-ID"] == "<abc.mail@xn--bcher-kva.example>"
    assert email["From"] == "NotifyFlow <notify@xn--bcher-kva.example>"


def test_space_around_subject_and_recipient_is_dropped() -> None:
    email = compose(email_message(subject="\n Order 17 \n", to=" Ann <ann@x.org>\n"), sender=SENDER, provider="smtp")

    assert (email.subject, email.to) == ("Order 17", ["Ann <ann@x.org>"])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": ""}, "empty_recipient"),
        ({"to": " \n"}, "empty_recipient"),
        ({"to": "ann"}, "invalid_address"),
        ({"to": "ann@x.org, bob@x.org"}, "invalid_address"),
        ({"to": "änn@x.org"}, "invalid_address"),
        ({"to": "ann@x.org\nBcc: bob@x.org"}, "invalid_header"),
        ({"subject": "hi\r\nBcc: bob@x.org"}, "invalid_header"),
        ({"subject": "hi\u2028there"}, "invalid_header"),
        ({"body": ""}, "empty_body"),
        ({"body": " ", "html_body": "\n"}, "empty_body"),
        ({"body": "a\x00b"}, "invalid_text"),
        ({"html_body": "\ud800"}, "invalid_text"),
    ],
)
def test_what_is_no_email_is_refused_for_good(fields: dict[str, str], code: str) -> None:
    error = refusal(**fields)

    assert (error.code, error.provider) == (code, "smtp")


def test_refused_address_is_explained() -> None:
    assert "outside ASCII" in refusal(to="änn@x.org").message


def test_credentials_among_the_settings_are_known(settings: Settings) -> None:
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "t", "MAILGUN_API_KEY": "k", "MAILGUN_API_URL": "u", "SEND": {}}
    settings.EMAIL_HOST_PASSWORD = "p"

    assert set(configured_secrets()) == {"t", "k", "p"}
