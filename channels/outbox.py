"""Messages as files (the embedded profile's provider): one per message key, whole or not at all."""

import json
import os
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from channels.contract import TransientSendError

PROVIDER = "outbox"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class EmailBackend(BaseEmailBackend):
    """Write each email to OUTBOX_DIR/<local part of its Message-ID>.eml."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write every email. Raises TransientSendError when the folder cannot be written."""
        for email in email_messages:
            mime = email.message()
            key = mime["Message-ID"].strip("<>").rpartition("@")[0]
            write_whole(f"{key}.eml", mime.as_bytes())
        return len(email_messages)


class OutboxCarrier:
    """Write each SMS to OUTBOX_DIR/<message key>.sms.json."""

    provider = PROVIDER

    def __init__(self, *, sender: str) -> None:
        self._sender = sender

    def carry(self, *, message_key: str, to: str, body: str) -> str:
        """Write one SMS and answer its id, which is the message key."""
        record = {"to": to, "from": self._sender, "body": body, "message_id": message_key}
        text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
        write_whole(f"{message_key}.sms.json", text.encode())
        return message_key

    def close(self) -> None:
        """Do nothing: every file is closed already."""


def write_whole(name: str, content: bytes) -> None:
    """Write a file into OUTBOX_DIR so that a reader sees all of it or none.

    Raises TransientSendError when the folder cannot be written.
    """
    folder = Path(settings.OUTBOX_DIR)
    target = folder / _UNSAFE.sub("_", name).lstrip(".")
    draft = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, target)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise TransientSendError(
            provider=PROVIDER,
            code="outbox_unwritable",
            message=f"{folder} cannot be written ({error.strerror})",
        ) from error
