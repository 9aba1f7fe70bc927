"""`manage.py changepassword`: Django's own, and what a new password means here."""

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.db import transaction

from accounts.audit import SYSTEM
from accounts.models import User
from accounts.services import note_new_password


class Command(changepassword.Command):
    """Set a password."""

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> str | None:
        """Set the password as Django does, end the user's sessions, and note it."""
        said: str | None = super().handle(*args, **options)
        # Without a name Django takes that of the account on the server.
        name = options["username"] or getpass.getuser()
        note_new_password(User.objects.get(username=name), by=SYSTEM)
        return said
