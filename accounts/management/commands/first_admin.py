"""`manage.py first_admin`: the first system admin, from the environment, so that an installation starts by itself."""

import os
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import BaseCommand, CommandError
from django.db import IntegrityError, transaction

from accounts.audit import SYSTEM, Action, record
from accounts.models import User
from accounts.roles import Role

NAME, PASSWORD, EMAIL = "DJANGO_SUPERUSER_USERNAME", "DJANGO_SUPERUSER_PASSWORD", "DJANGO_SUPERUSER_EMAIL"


class Command(BaseCommand):
    """Make a system admin of DJANGO_SUPERUSER_* unless there is an active one."""

    help = f"Make the first systemAdmin from {NAME}, {PASSWORD} and {EMAIL}, unless there is an active one."

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the user, or say why there is nothing to do. Raises CommandError for what can't be a user."""
        if User.objects.people_who_manage_users().exists():
            self.stdout.write("There is a systemAdmin already: nothing to do.")
            return
        username, password = os.environ.get(NAME, "").strip(), os.environ.get(PASSWORD, "")
        if not username or not password:
            self.stdout.write(f"There is no systemAdmin yet; set {NAME} and {PASSWORD}, or run createsuperuser.")
            return
        user = make_admin(username, password, email=os.environ.get(EMAIL, "").strip())
        self.stdout.write(f"Made the systemAdmin {user.username}. The password need not stay in the environment.")


def make_admin(username: str, password: str, *, email: str) -> User:
    """Store a system admin. Raises CommandError, in words that name the variable and never the password."""
    user = User(username=User.normalize_username(username), email=email, role=Role.SYSTEM_ADMIN)
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        faults = "; ".join(f"{name}: {' '.join(said)}" for name, said in error.message_dict.items())
        raise CommandError(f"{NAME} and {EMAIL} can't be a user. {faults}") from None
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise CommandError(f"{PASSWORD} is refused. {' '.join(error.messages)}") from None
    try:
        with transaction.atomic():
            made = User.objects.create_superuser(user.username, email, password)
            record(SYSTEM, Action.USER_CREATED, object_type="user", object_id=made.pk, object_name=made.username)
    except IntegrityError:
        raise CommandError(
            f"A user named {user.username} exists, but is no active systemAdmin: set another {NAME}."
        ) from None
    return made
