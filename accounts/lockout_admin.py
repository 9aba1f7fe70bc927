"""What system admins do for people who can't sign in: unlock them, and take away the second factor of a lost phone.

A mixin of the users' admin: it names `sign_in_actions` for `actions_detail`, and the columns `locked` and
`has_second_factor`.
"""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts import lockout, second_factor
from accounts.admin_actions import Question, confirmed
from accounts.admin_texts import badge
from accounts.audit import actor_of
from accounts.models import User

if TYPE_CHECKING:
    from accounts.admin_base import ConsoleAdmin

    _Admin = ConsoleAdmin[User]
else:
    _Admin = object

UNLOCK = Question(
    title="Unlock this user?",
    text="The failed attempts to sign in with this name are forgotten, and it can be tried again at once.",
    submit="Unlock",
)
REMOVE_SECOND_FACTOR = Question(
    title="Remove the second factor?",
    text="The password alone signs this user in then, and the recovery codes end. See first, by another way than "
    "email, that it is really they who ask.",
    submit="Remove the second factor",
    is_grave=True,
)


class SignInHelp(_Admin):
    """Adds to the users' admin what helps people in; needs the permission to change users."""

    sign_in_actions = ("unlock", "remove_second_factor")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Return the users with what the columns show, in the same query."""
        users = lockout.with_lock(super().get_queryset(request))
        return users.annotate(
            has_device=Exists(TOTPDevice.objects.filter(user=OuterRef("pk"), confirmed=True)),
        )

    @admin.display(description="Sign-in")
    def locked(self, user: Any) -> SafeString:
        """Show whether the user's name is locked out from anywhere."""
        return badge("locked out", "bad") if user.is_locked_out else badge("open", "good")

    @admin.display(description="Second factor")
    def has_second_factor(self, user: Any) -> SafeString:
        """Show whether the user has a second factor."""
        return badge("on", "good") if user.has_device else badge("none")

    @confirmed(UNLOCK, permission="change", icon="lock_open")
    def unlock(self, request: HttpRequest, user: User) -> None:
        """Forget the failures."""
        if lockout.unlock(user.username, by=actor_of(request)):
            messages.success(request, "Unlocked.")
        else:
            messages.info(request, "There were no failed attempts to forget.")

    @confirmed(REMOVE_SECOND_FACTOR, permission="change", icon="phonelink_erase")
    def remove_second_factor(self, request: HttpRequest, user: User) -> None:
        """Take it away; one's own takes a code, on the page for it."""
        if user.pk == request.user.pk:
            messages.error(request, "Your own second factor is removed with a code: see Second factor in your menu.")
        elif second_factor.remove(user, by=actor_of(request)):
            messages.success(request, "The second factor is removed.")
        else:
            messages.info(request, "This user has no second factor.")
