"""`manage.py createsuperuser`: Django's own, and a line in the audit trail."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.db import transaction

from accounts.audit import SYSTEM, Action, record
from accounts.models import User


class Command(createsuperuser.Command):
    """Make a system admin."""

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Make the user as Django does, and note it."""
        before = set(User.objects.values_list("pk", flat=True))
        super().handle(*args, **options)
        for user in User.objects.exclude(pk__in=before):
            record(SYSTEM, Action.USER_CREATED, object_type="user", object_id=user.pk, object_name=user.username)
