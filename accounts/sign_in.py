"""Signing in over the API: name and password, the lock-out, the second factor, in this order."""

from django.contrib.auth import authenticate
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import lockout, second_factor
from accounts.models import User


class WrongCredentials(AuthenticationFailed):
    """401: no such user, not the password, or an inactive user; which of them is nobody's to know."""

    default_code = "no_active_account"
    default_detail = "No active account found with the given credentials."


def sign_in(request: Request, *, username: str, password: str, otp: str | None = None) -> User:
    """Return who these credentials belong to.

    Raises WrongCredentials; LockedOut after too many failures, from the one on that is the last; SecondFactorRequired
    and SecondFactorWrong for a user who has a second factor. Not to be called inside a transaction, which would undo
    the counts.
    """
    # axes looks at the lock before any password is hashed, and counts what fails.
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        if getattr(request, "axes_locked_out", False):
            raise lockout.LockedOut(lockout.seconds_left(request, username))
        raise WrongCredentials
    try:
        second_factor.check(request, user, otp)
    except second_factor.SecondFactorWrong:
        lockout.refuse_locked(request, username)
        raise
    lockout.forgive(request, user)
    return user
