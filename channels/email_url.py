"""EMAIL_URL in words Django understands; pure, so settings can import it before Django is set up."""

import pkgutil
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

import anymail.backends
import environ

ANYMAIL_PREFIX = "ANYMAIL_"
_FORMS = (
    "smtp://user:password@host:25, smtp+tls://user:password@host:587 (STARTTLS), "
    "smtps://user:password@host:465, anymail+<service>:// with ANYMAIL_<SERVICE>_API_KEY set, outbox:// or null://"
)
_SCHEME_PORTS = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465, "smtps": 465}
_SIMPLE_BACKENDS = {
    "outbox": "channels.outbox.EmailBackend",
    "null": "django.core.mail.backends.dummy.EmailBackend",
}
# Modules of anymail.backends that are not a service reached over HTTP with a time limit.
_NOT_SERVICES = {"amazon_ses", "base", "base_requests", "console", "test"}


def email_settings(url: str, env: Mapping[str, str]) -> dict[str, object]:
    """Translate EMAIL_URL into Django's EMAIL_* settings and ANYMAIL.

    Credentials are percent-decoded. ANYMAIL is filled from the variables of `env` that begin with `ANYMAIL_`.
    Raises ValueError, with a sentence that says what to write instead and repeats no credentials.
    """
    scheme, separator, rest = url.strip().partition("://")
    try:
        # A scheme may hold no underscore, and the services' modules have them.
        parts = urlsplit(scheme.replace("_", "-") + separator + rest)
        port = parts.port
    except ValueError:
        # The parser's own message quotes a piece of the URL, which may be a piece of the password.
        raise ValueError(
            "EMAIL_URL cannot be read. Percent-encode special characters in user and password "
            f"(/ is %2F, @ is %40, # is %23). Forms: {_FORMS}."
        ) from None
    if parts.scheme in _SCHEME_PORTS:
        return _smtp_settings(parts, port or _SCHEME_PORTS[parts.scheme])
    if parts.scheme not in _SIMPLE_BACKENDS and not parts.scheme.startswith("anymail+"):
        raise ValueError(f"EMAIL_URL has the scheme {parts.scheme!r}, which is unknown. Forms: {_FORMS}.")
    if parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"EMAIL_URL {parts.scheme}:// takes nothing after the slashes; keys go into ANYMAIL_* variables."
        )
    if parts.scheme in _SIMPLE_BACKENDS:
        return {"EMAIL_BACKEND": _SIMPLE_BACKENDS[parts.scheme], "ANYMAIL": {}}
    return _anymail_settings(parts.scheme.removeprefix("anymail+").replace("-", "_"), env)


def _smtp_settings(parts: SplitResult, port: int) -> dict[str, object]:
    if not parts.hostname:
        raise ValueError(f"EMAIL_URL names no host. Forms: {_FORMS}.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            "EMAIL_URL takes nothing after host and port; percent-encode special characters in user and "
            f"password (/ is %2F, # is %23, ? is %3F). Forms: {_FORMS}."
        )
    # django-environ reads smtps:// as STARTTLS; everybody else means TLS from the first byte.
    scheme = "smtp+ssl" if parts.scheme == "smtps" else parts.scheme
    found = environ.Env.email_url_config(parts._replace(scheme=scheme).geturl())
    return {
        "EMAIL_BACKEND": found["EMAIL_BACKEND"],
        "EMAIL_HOST": found["EMAIL_HOST"],
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": found["EMAIL_HOST_USER"] or "",
        "EMAIL_HOST_PASSWORD": found["EMAIL_HOST_PASSWORD"] or "",
        "EMAIL_USE_TLS": found.get("EMAIL_USE_TLS", False),
        "EMAIL_USE_SSL": found.get("EMAIL_USE_SSL", False),
        "ANYMAIL": {},
    }


def _anymail_settings(service: str, env: Mapping[str, str]) -> dict[str, object]:
    services = {module.name for module in pkgutil.iter_modules(anymail.backends.__path__)} - _NOT_SERVICES
    if service == "amazon_ses":
        raise ValueError(
            "EMAIL_URL anymail+amazon_ses:// needs boto3, which is not installed; SES takes SMTP as well: "
            "smtp+tls://user:password@email-smtp.<region>.amazonaws.com:587."
        )
    if service not in services:
        raise ValueError(
            f"EMAIL_URL names the email service {service!r}, which is unknown. "
            f"Write anymail+<service>:// with one of: {', '.join(sorted(services))}."
        )
    return {
        "EMAIL_BACKEND": f"anymail.backends.{service}.EmailBackend",
        "ANYMAIL": {
            name.removeprefix(ANYMAIL_PREFIX): value for name, value in env.items() if name.startswith(ANYMAIL_PREFIX)
        },
    }
