"""A letter's bytes are those that Django would write, whatever is in it."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels import letters
from channels.contract import OutgoingMessage, PermanentSendError
from channels.email import compose
from channels.email_addresses import parse_mailbox
from channels.letters import Letter

WHEN = "Sat, 28 Nov 2026 15:00:00 -0000"
SENDER = parse_mailbox("NotifyFlow <notify@example.org>")
BOUNDARY = re.compile(rb"={15}\d{19}==")
ADDRESSES = (
    "ann@example.org",
    "Ann <ann@example.org>",
    '"Smith, Ann" <ann@example.org>',
    "Änn <ann@bücher.example>",
    f"{'Ann of ' * 12} <{'a' * 60}@{'long.' * 12}example.org>",
)
TEXT = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), st.sampled_from("\r\n .=-\u2028")),
    max_size=60,
)


def written(letter: Letter) -> bytes:
    """Return the bytes with a boundary that is always the same."""
    return BOUNDARY.sub(b"BOUNDARY", letter.as_bytes())


def written_by_django(letter: Letter) -> bytes:
    return BOUNDARY.sub(b"BOUNDARY", letter.message().as_bytes(linesep="\r\n"))  # type: ignore[call-arg]  # Django's own


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "formatdate", lambda **_: WHEN)
    monkeypatch.setattr("django.core.mail.message.formatdate", lambda **_: WHEN)


@given(subject=TEXT, body=TEXT, html_body=TEXT, to=st.sampled_from(ADDRESSES))
@example("Größe 17", "Grüße\r\n.\rend", "<p>Grüße</p>", ADDRESSES[0])
@example("=?utf-8?q?x?=", "x", "", ADDRESSES[0])
@example("a\tb  c", "x\n", "\n<p>", ADDRESSES[0])
@example("S" * 65, "x", "", ADDRESSES[0])
@example("word " * 14 + "x", "x", "", ADDRESSES[0])
@example("many words " * 20, "x", "", ADDRESSES[4])
@example("Wörter und " * 20, "", "x", ADDRESSES[3])
@example("x", "l" * 998, "l" * 998 + "\n", ADDRESSES[0])
@example("x", "l" * 999, "ü", ADDRESSES[0])
@example("x", "ü", "ü" * 500, ADDRESSES[0])
@example("x", "From here\nand >From there", "", ADDRESSES[0])
def test_the_bytes_are_those_that_django_writes(subject: str, body: str, html_body: str, to: str) -> None:
    fields = {"to": to, "subject": subject, "body": body, "html_body": html_body}
    try:
        letter = compose(OutgoingMessage("key.node", fields), sender=SENDER, provider="smtp")
    except PermanentSendError:
        return

    assert written(letter) == written_by_django(letter)


def test_django_is_asked_for_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: Any) -> None:
        raise AssertionError("Django's own way was taken")

    monkeypatch.setattr(Letter, "message", never)
    fields = {"to": "ann@example.org", "subject": "Grüße", "body": "Grüße\n" * 500, "html_body": "<p>Hi</p>"}

    content = compose(OutgoingMessage("key.node", fields), sender=SENDER, provider="smtp").as_bytes()

    message = message_from_bytes(content, _class=EmailMessage, policy=policy.default)
    assert message["Subject"] == "Grüße"
    assert [part.get_content_type() for part in message.walk()][1:] == ["text/plain", "text/html"]


def test_a_boundary_is_none_that_the_text_has(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([1, 2])
    monkeypatch.setattr("secrets.randbelow", lambda _: next(numbers))
    fields = {"to": "ann@example.org", "subject": "x", "body": "=" * 15 + f"{1:019}==", "html_body": "<p>"}

    content = compose(OutgoingMessage("key.node", fields), sender=SENDER, provider="smtp").as_bytes()

    assert f'boundary="{"=" * 15}{2:019}=="'.encode() in content
