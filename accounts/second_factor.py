"""The optional second factor: a code from a person's phone (TOTP, RFC 6238), and ten recovery codes for a lost phone.

django-otp keeps and checks the codes: each works once, and after a wrong one the next is looked at only after a pause
that doubles. Here is who has to give one and when; the pages are in `accounts.second_factor_views`.
"""

import re
from base64 import b32encode

import segno
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils.safestring import SafeString, mark_safe
from django_otp import DEVICE_ID_SESSION_KEY, verify_token
from django_otp import login as mark_session
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import lockout
from accounts.audit import Action, Actor, record
from accounts.models import User
from accounts.sessions import end_sessions_of

RECOVERY_CODES = 10
DEVICE_NAME = "second factor"


class SecondFactorRequired(AuthenticationFailed):
    """401: the password is right, and a code is needed beside it."""

    default_code = "second_factor_required"
    default_detail = "This user has a second factor: give its code as `otp` beside the password."


class SecondFactorWrong(AuthenticationFailed):
    """401: not the code, one that was used, or one that came within the pause after a wrong one."""

    default_code = "second_factor_wrong"
    default_detail = (
        "The code is not right, was used before, or came too soon after a wrong one: wait for the next one."
    )


class AlreadyAdded(Exception):
    """The user has a second factor; it has to be removed before another is added."""


def is_required() -> bool:
    """Say whether everybody who enters the admin has to have a second factor."""
    return bool(settings.ADMIN_SECOND_FACTOR == "required")


def device_of(user: User) -> TOTPDevice | None:
    """Return what the user's codes are checked by, once the user has shown to have it; None without a second factor."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).order_by("pk").first()


def has_passed(request: HttpRequest) -> bool:
    """Say whether this session may enter the admin as far as the second factor goes.

    A session that was begun before its user added one, elsewhere, may not any more.
    """
    if not isinstance(request.user, User):
        return False
    device = device_of(request.user)
    if device is None:
        return not is_required()
    return bool(request.session.get(DEVICE_ID_SESSION_KEY) == device.persistent_id)


def has_to_be_added(request: HttpRequest) -> bool:
    """Say whether somebody may enter the admin but for the second factor that they have not got."""
    user = request.user
    return isinstance(user, User) and user.is_active and user.is_staff and is_required() and device_of(user) is None


def check(request: Request | HttpRequest, user: User, code: str | None) -> None:
    """See that somebody whose password was right also gave the right code, if they have a second factor.

    `code` is one of the phone's, or a recovery code, which ends with it. A wrong one counts for the lock-out. Raises
    SecondFactorRequired and SecondFactorWrong. Not to be called inside a transaction, which would undo the count.
    """
    if device_of(user) is None:
        return
    if not code:
        raise SecondFactorRequired
    if not _accepts(user, code):
        lockout.count_failure(request, user.get_username())
        raise SecondFactorWrong


def pass_session(request: HttpRequest, user: User) -> None:
    """Note in a session that its user has given the code."""
    device = device_of(user)
    if device is not None:
        mark_session(request, device)


# --- adding and removing one ---


@transaction.atomic
def new_pending_device(user: User) -> TOTPDevice:
    """Make the device that the user is about to add; whoever saw the secret of an earlier one has nothing of it."""
    # Two pages opened at once would otherwise leave two secrets, of which only one is asked for.
    User.objects.select_for_update().get(pk=user.pk)
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    return TOTPDevice.objects.create(user=user, name=DEVICE_NAME, confirmed=False)


def pending_device(user: User) -> TOTPDevice:
    """Return the device that the user was shown last."""
    pending = TOTPDevice.objects.filter(user=user, confirmed=False).order_by("pk").first()
    return pending or new_pending_device(user)


def add(user: User, code: str, *, by: Actor) -> list[str]:
    """Make the pending device the user's second factor and return ten recovery codes, which nobody is shown again.

    The user's sessions over the API end, since the password alone began them. Raises SecondFactorWrong, and
    AlreadyAdded.
    """
    pending = pending_device(user)
    digits = _digits(code)
    if digits is None or verify_token(user, pending.persistent_id, digits) is None:
        raise SecondFactorWrong
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if device_of(user) is not None:
            raise AlreadyAdded
        TOTPDevice.objects.filter(pk=pending.pk).update(confirmed=True)
        TOTPDevice.objects.filter(user=user, confirmed=False).delete()
        StaticDevice.objects.filter(user=user).delete()
        recovery = StaticDevice.objects.create(user=user, name=DEVICE_NAME)
        codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
        StaticToken.objects.bulk_create([StaticToken(device=recovery, token=each) for each in codes])
        end_sessions_of(user)
        _record(Action.USER_SECOND_FACTOR_ADDED, user, by)
    return codes


@transaction.atomic
def remove(user: User, *, by: Actor) -> bool:
    """Take the second factor and its recovery codes away; say whether there was one."""
    had_one = device_of(user) is not None
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    if had_one:
        _record(Action.USER_SECOND_FACTOR_REMOVED, user, by)
    return had_one


def recovery_codes_left(user: User) -> int:
    """Return how many recovery codes have not been used."""
    return int(StaticToken.objects.filter(device__user=user).count())


def secret_text(device: TOTPDevice) -> str:
    """Return the secret as people type it into an authenticator: Base32, in groups of four."""
    text = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def picture(device: TOTPDevice) -> SafeString:
    """Return the QR code that authenticators read, as SVG; dark on white in every theme, since cameras want that."""
    image = segno.make(device.config_url, error="m", micro=False)
    # Without a size of its own it has a viewBox, so that it is scaled to its place and not cut off there.
    drawn = image.svg_inline(border=4, dark="#000", light="#fff", title="QR code of the secret", omitsize=True)
    return mark_safe(drawn)  # noqa: S308  # drawn here; what it says is in the modules, not in the text


def _accepts(user: User, code: str) -> bool:
    """Check the code by the one device that it can be of: a wrong one at the other would begin a pause there too."""
    digits = _digits(code)
    device: TOTPDevice | StaticDevice | None
    if digits is not None:
        device, given = device_of(user), digits
    else:
        device = StaticDevice.objects.filter(user=user, confirmed=True).order_by("pk").first()
        given = re.sub(r"[\s-]", "", code).lower()
        if not re.fullmatch(r"[a-z2-7]{8}", given):
            return False
    return device is not None and verify_token(user, device.persistent_id, given) is not None


def _digits(code: str) -> str | None:
    """Return the six digits of a phone's code, which some write in two groups; None for anything else."""
    digits = re.sub(r"[\s-]", "", code)
    return digits if re.fullmatch(r"[0-9]{6}", digits) else None


def _record(action: Action, user: User, by: Actor) -> None:
    record(by, action, object_type="user", object_id=user.pk, object_name=user.username)
