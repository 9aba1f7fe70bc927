"""What the log masks, and what it leaves readable."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from notifyflow.logs import logging_config
from notifyflow.redaction import MASK, Redaction

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWFubg"
KEY = "nf_abcdefgh_Zx9Zx9Zx9Zx9Zx9Zx9Zx9Zx9"
# Not spelled out where a traceback shows the line.
SESAME = "sesame"
OWN = "the-own-key-of-this-installation"
DIGEST = "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA"
redaction = Redaction([OWN, "short"])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"token {JWT} refused", f"token {MASK} refused"),
        (f"key {KEY}.", f"key {MASK}."),
        (f"Authorization: Bearer {KEY}", f"Authorization: {MASK}"),
        ("authorization: Basic YW5uOnNlc2FtZQ==", f"authorization: {MASK}"),
        ("sent Basic YW5uOnNlc2FtZQ==", f"sent Basic {MASK}"),
        ('"{\\"token\\": \\"open sesame\\", \\"a\\": 1}"', f'"{{\\"token\\": {MASK}, \\"a\\": 1}}"'),
        ("amqp://guest:gu:e@st@127.0.0.1:5672//", f"amqp://guest:{MASK}@127.0.0.1:5672//"),
        ("redis://:sesame@redis:6379/0", f"redis://:{MASK}@redis:6379/0"),
        ("smtp+tls://ann%40example.org:sesame@mail:587", f"smtp+tls://ann%40example.org:{MASK}@mail:587"),
        ("postgres://notifyflow:sesame@db/notifyflow", f"postgres://notifyflow:{MASK}@db/notifyflow"),
        ('{"password": "open \\"sesame\\""}', f'{{"password": {MASK}}}'),
        ("{'api_key': 'sesame', 'name': 'ann'}", f"{{'api_key': {MASK}, 'name': 'ann'}}"),
        ("TWILIO_AUTH_TOKEN=sesame&x=1", f"TWILIO_AUTH_TOKEN={MASK}&x=1"),
        ("host=db password=sesame user=ann", f"host=db password={MASK} user=ann"),
        (f"Failing row contains (1, ann, {DIGEST}).", f"Failing row contains (1, ann, {MASK})."),
        (f"secret={OWN}", f"secret={MASK}"),
        (f"signed with {OWN}", f"signed with {MASK}"),
    ],
)
def test_secrets_are_masked_by_their_shape(text: str, masked: str) -> None:
    assert redaction.text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Too Many Requests: /api/v1/auth/token/",
        "The cache did not keep the bell flag bell:high: Error 111 connecting to 127.0.0.1:6379",
        "https://notify.example.com:8443/admin/?next=/a@b",
        "GET http://127.0.0.1:8000/admin/, mail ann@example.org",
        "idempotency_key=order-17-shipped",
        "Trigger 01a1fdc7-827e-76da-b157-159d0e90ba72 can't be run any further",
        "The API key is unknown, revoked or expired.",
        "Token is expired",
        "basic example of a bearer of bad news",
        "short",
    ],
)
def test_everything_else_stays_readable(text: str) -> None:
    assert redaction.text(text) == text


def test_values_are_masked_by_their_names_at_every_depth() -> None:
    event = {
        "event": "signed in",
        "password": "sesame",
        "key": "sesame",
        "headers": {"Authorization": "sesame", "Accept": "*/*"},
        "list": [{"refresh_token": "sesame"}, ("a", {"secret": 17})],
        "idempotency_key": "order-17",
        "count": 3,
        "token": None,
        "is_token": True,
    }

    assert redaction(None, "info", event) == {
        "event": "signed in",
        "password": MASK,
        "key": MASK,
        "headers": {"Authorization": MASK, "Accept": "*/*"},
        "list": [{"refresh_token": MASK}, ["a", {"secret": MASK}]],
        "idempotency_key": "order-17",
        "count": 3,
        "token": None,
        "is_token": True,
    }


def test_objects_are_masked_by_what_they_would_be_written_as() -> None:
    class Settings:
        def __repr__(self) -> str:
            return "Settings(password='sesame')"

    assert redaction(None, "info", {"of": Settings()})["of"] == f"Settings(password={MASK})"


def test_what_refers_to_itself_comes_to_an_end() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle

    assert "again" in redaction(None, "info", {"circle": circle})["circle"]


@pytest.fixture(params=[True, False], ids=["json", "console"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Return what a logger with the project's formatter writes."""
    config = logging_config(is_json=request.param, level="INFO", secrets=[OWN])
    made: Any = logging.config.DictConfigurator(config)
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(made.configure_formatter(config["formatters"]["structured"]))
    logger = logging.getLogger("tests.redaction")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    logger.propagate = False
    yield handler.stream
    logger.removeHandler(handler)


def test_tracebacks_are_masked_in_both_forms(written: io.StringIO) -> None:
    def sign_in(password: str) -> None:
        raise ValueError(f"{{'password': '{password}'}} of postgres://ann:{password}@db with {OWN} and {JWT}")

    try:
        sign_in(SESAME)
    except ValueError:
        logging.getLogger("tests.redaction").exception("%s: smtp://ann:%s@mail", "failed", SESAME)

    text = written.getvalue()
    assert "Traceback" in text
    assert "ValueError" in text
    assert not [secret for secret in (SESAME, OWN, JWT) if secret in text]


def test_fields_of_structured_lines_are_masked(written: io.StringIO) -> None:
    structlog.get_logger("tests.redaction").warning(
        "sent", provider="smtp", auth_token="sesame", url="amqp://a:sesame@b"
    )

    assert "smtp" in written.getvalue()
    assert "sesame" not in written.getvalue()


@pytest.mark.parametrize("written", [True], indirect=True)
def test_nothing_can_begin_a_line_of_its_own(written: io.StringIO) -> None:
    logging.getLogger("tests.redaction").warning("from %s", 'ann\n{"event": "made up"}')

    [line] = written.getvalue().splitlines()
    assert json.loads(line)["event"] == 'from ann\n{"event": "made up"}'


@pytest.mark.parametrize("noise", ["a.b+", "eyJaaaaa.", 'token=\\"x', "bearer aaaaaa", "http://a:"])
def test_long_noise_is_cut_and_comes_to_an_end(noise: str) -> None:
    """Callers decide what stands in a path: with a shape that takes quadratic time this takes minutes."""
    assert len(redaction.text(noise * 30_000)) < 100_000
