"""EMAIL_URL, form by form."""

import pytest

from channels.email_url import email_settings

SMTP = "django.core.mail.backends.smtp.EmailBackend"


def smtp_settings(**changes: object) -> dict[str, object]:
    return {
        "EMAIL_BACKEND": SMTP,
        "EMAIL_HOST": "mail.example.org",
        "EMAIL_PORT": 25,
        "EMAIL_HOST_USER": "",
        "EMAIL_HOST_PASSWORD": "",
        "EMAIL_USE_TLS": False,
        "EMAIL_USE_SSL": False,
        "ANYMAIL": {},
        **changes,
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", smtp_settings()),
        (
            "smtp://ann:secret@mail.example.org:2525",
            smtp_settings(EMAIL_PORT=2525, EMAIL_HOST_USER="ann", EMAIL_HOST_PASSWORD="secret"),
        ),
        (
            "smtp://ann%40x.org:p%2Fa%40s%3As+%25@mail.example.org",
            smtp_settings(EMAIL_HOST_USER="ann@x.org", EMAIL_HOST_PASSWORD="p/a@s:s+%"),
        ),
        ("smtp+tls://mail.example.org", smtp_settings(EMAIL_PORT=587, EMAIL_USE_TLS=True)),
        ("smtp+ssl://mail.example.org", smtp_settings(EMAIL_PORT=465, EMAIL_USE_SSL=True)),
        ("smtps://mail.example.org", smtp_settings(EMAIL_PORT=465, EMAIL_USE_SSL=True)),
        ("SMTPS://mail.example.org/", smtp_settings(EMAIL_PORT=465, EMAIL_USE_SSL=True)),
        ("smtp://[::1]:25", smtp_settings(EMAIL_HOST="::1")),
        ("outbox://", {"EMAIL_BACKEND": "channels.outbox.EmailBackend", "ANYMAIL": {}}),
        ("null://", {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend", "ANYMAIL": {}}),
    ],
)
def test_url_becomes_settings(url: str, expected: dict[str, object]) -> None:
    assert email_settings(url, {"ANYMAIL_POSTMARK_SERVER_TOKEN": "k"}) == expected


@pytest.mark.parametrize("service", ["sendgrid", "postmark", "mailgun", "brevo", "unisender-go", "unisender_go"])
def test_anymail_takes_its_keys_from_the_environment(service: str) -> None:
    env = {"ANYMAIL_SENDGRID_API_KEY": "k", "ANYMAIL_MAILGUN_SENDER_DOMAIN": "x.org", "PATH": "/bin"}

    found = email_settings(f"anymail+{service}://", env)

    assert found == {
        "EMAIL_BACKEND": f"anymail.backends.{service.replace('-', '_')}.EmailBackend",
        "ANYMAIL": {"SENDGRID_API_KEY": "k", "MAILGUN_SENDER_DOMAIN": "x.org"},
    }


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "has the scheme '', which is unknown"),
        ("mail.example.org:25", "has the scheme 'mail.example.org', which is unknown"),
        ("sendgrid://", "has the scheme 'sendgrid', which is unknown"),
        ("smtp://", "names no host"),
        ("smtp://mail.example.org:port", "cannot be read"),
        ("smtp://mail.example.org?ssl=True", "takes nothing after host and port"),
        ("smtp://mail.example.org/inbox", "takes nothing after host and port"),
        ("outbox:///tmp/x", "takes nothing after the slashes"),
        ("anymail+postmark://key@host", "keys go into ANYMAIL_"),
        ("anymail+pigeon://", "the email service 'pigeon', which is unknown"),
        ("anymail+test://", "the email service 'test', which is unknown"),
        ("anymail+amazon_ses://", "SES takes SMTP as well"),
    ],
)
def test_anything_else_is_refused_with_advice(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="EMAIL_URL") as refused:
        email_settings(url, {})

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "smtp://ann:hush/hush@mail.example.org",
        "smtp://ann:12/hush@mail.example.org",
        "smtp://ann:hush#1@mail.example.org",
        "anymail+postmark://hush@",
    ],
)
def test_no_complaint_repeats_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="EMAIL_URL") as refused:
        email_settings(url, {})

    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None
