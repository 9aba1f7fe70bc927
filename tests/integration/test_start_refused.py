"""Settings that are not safe keep the service from starting, with a sentence that says what to do."""

import os
import secrets
import subprocess
import sys

import pytest

from tests.e2e.processes import ROOT
from tests.settings import TEST_DATABASE_URL

# Fixed, because the names of the tests are made of it and have to be the same in every process.
GOOD = "kQ3v9sXw1LrT7yUb2Zp5Nc8Hd4Gf6Jm0aEoViSgBqRtYxWzKuMnPlCjDhFkA1b2C3d4E5f6G7h8"


def start(what: str = "import notifyflow.settings as s; print('started')", **variables: str) -> tuple[int, str]:
    """Load the settings in a process of their own and return its exit code and last line."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "NOTIFYFLOW_VAR") if name in os.environ}
    environment = {**kept, "DATABASE_URL": TEST_DATABASE_URL, "SECRET_KEY": GOOD, **variables}
    done = subprocess.run(
        [sys.executable, "-c", what], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, (done.stdout + done.stderr).strip().rsplit("\n", 1)[-1]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short-but-random-8fj3kd",
        "ab" * 40,
        "django-insecure-" + GOOD,
        "change-me-" + GOOD,
        "CHANGEME" + GOOD,
        "secret" + GOOD,
        "your-secret-key-" + GOOD,
    ],
)
def test_a_key_that_can_be_guessed_is_refused(key: str) -> None:
    code, said = start(SECRET_KEY=key)

    assert code == 1
    assert said.startswith("django.core.exceptions.ImproperlyConfigured: SECRET_KEY ")
    assert "secrets.token_urlsafe" in said
    assert not key or key not in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SECRET_KEY_FALLBACKS", f"{GOOD},short"),
        ("RATE_LIMITS", "boss=3"),
        ("RATE_LIMITS", "systemAdmin=0"),
        ("RATE_LIMITS", "systemAdmin"),
    ],
)
def test_so_are_other_settings(variable: str, value: str) -> None:
    code, said = start(**{variable: value})

    assert code == 1
    assert f"ImproperlyConfigured: {variable}" in said


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [
        ("CORS_ALLOWED_ORIGINS", "https://shop.example.com,null", "CORS_ALLOWED_ORIGINS"),
        ("CORS_ALLOWED_ORIGINS", "*", "CORS_ALLOWED_ORIGINS"),
        ("CORS_ALLOWED_ORIGINS", "https://shop.example.com/", "CORS_ALLOWED_ORIGINS"),
        ("JWT_SIGNING_KEY", "file:/nowhere/at/all", "token key"),
        ("JWT_SIGNING_KEY", "only-31-bytes-of-a-signing-key-", "is shorter than 32 bytes"),
        ("JWT_SIGNING_KEY", "secret-" + GOOD, "is the placeholder of an example"),
        ("JWT_OLD_KEYS", "change-me-" + GOOD, "is the placeholder of an example"),
    ],
)
def test_the_web_process_refuses_what_the_checks_refuse(variable: str, value: str, word: str) -> None:
    code, said = start("import notifyflow.wsgi", **{variable: value})

    assert code == 1
    assert "ImproperlyConfigured" in said
    assert word in said


def test_good_settings_start() -> None:
    more = {"JWT_SIGNING_KEY": secrets.token_urlsafe(32), "RATE_LIMITS": "systemAdmin=600, workerService=60"}

    assert start(**more) == (0, "started")


def test_with_debug_any_key_will_do() -> None:
    assert start(SECRET_KEY="short", DEBUG="1") == (0, "started")


def test_cors_is_there_only_for_who_names_origins() -> None:
    ask = "import notifyflow.settings as s; print('corsheaders.middleware.CorsMiddleware' in s.MIDDLEWARE)"

    assert start(ask) == (0, "False")
    assert start(ask, CORS_ALLOWED_ORIGINS="https://shop.example.com") == (0, "True")


def test_behind_tls_cookies_are_kept_to_it() -> None:
    ask = (
        "import notifyflow.settings as s; print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_SSL_REDIRECT,"
        " s.SECURE_HSTS_SECONDS > 3e7, s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME)"
    )

    assert start(ask, HTTPS="1") == (0, "True True True True __Host-sessionid __Host-csrftoken")
