"""The codes that an authenticator would show, and clients that have come through the doors of the admin."""

from typing import Any

import pytest
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import User
from tests.factories import PASSWORD

LOGIN = "/admin/login/"
CODE = "/admin/login/code/"
PAGE = "/admin/second-factor/"
INDEX = "/admin/"
STEP = 30


class Clock:
    """A clock that goes when it is told to; django-otp reads it where codes are checked."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def time(self) -> float:
        """Return the time of the clock."""
        return self.seconds

    def next_code(self, user: User) -> str:
        """Wait for the next code of the user's authenticator and return it."""
        self.seconds += STEP
        device = TOTPDevice.objects.filter(user=user).get()
        totp = TOTP(device.bin_key, device.step, device.t0, device.digits)
        totp.time = self.seconds
        return f"{totp.token():06}"


def clock_for(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock in the place of django-otp's."""
    clock = Clock()
    monkeypatch.setattr("django_otp.plugins.otp_totp.models.time", clock)
    return clock


def password_step(user: User, client: Client | None = None, **more: Any) -> tuple[Client, Any]:
    """Give name and password as a browser would; return the browser and the answer."""
    client = client or Client()
    return client, client.post(LOGIN, {"username": user.username, "password": PASSWORD, **more})


def opens(client: Client, page: str = INDEX) -> bool:
    """Say whether a page of the admin opens."""
    return bool(client.get(page).status_code == 200)
