"""Messages as the engine hands them to a channel, valid unless a test says otherwise."""

from channels.contract import OutgoingMessage

MESSAGE_KEY = "0199a1f0-0000-7000-8000-000000000001.mail"


def email_message(*, message_key: str = MESSAGE_KEY, **fields: str) -> OutgoingMessage:
    """Make an email with a text body; give `body=""` and `html_body=...` for one without."""
    given = {"to": "ann@example.org", "subject": "Order 17", "body": "It is on its way.", **fields}
    return OutgoingMessage(message_key=message_key, fields=given)


def sms_message(*, message_key: str = MESSAGE_KEY, **fields: str) -> OutgoingMessage:
    """Make an SMS."""
    given = {"to": "+49 170 1234567", "body": "Picked up yet?", **fields}
    return OutgoingMessage(message_key=message_key, fields=given)
