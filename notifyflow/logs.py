"""How log lines look: structured, with the request or task they belong to, and without secrets."""

from collections.abc import Iterable
from typing import Any

import structlog

from notifyflow.redaction import Redaction

SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_config(*, is_json: bool, level: str, secrets: Iterable[str] = ()) -> dict[str, Any]:
    """Return Django's LOGGING: JSON lines for machines, coloured text for a terminal; `secrets` appear in neither."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Plain, because the default formatter shows local variables: passwords and recipients are among them.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = structlog.processors.JSONRenderer() if is_json else console
    # Tracebacks become text before the redaction, which then sees all that the renderer writes.
    tail: list[Any] = [structlog.processors.format_exc_info, Redaction(secrets)]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail, renderer],
                "foreign_pre_chain": SHARED_PROCESSORS,
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "celery": {"level": "WARNING"},
            # It tells of every sign-in that it looked at it; failures and lock-outs are warnings.
            "axes": {"level": "WARNING"},
            # Named, so that Django's own handlers go, which would write the same lines again, and as they are.
            "django": {"level": "INFO"},
            "django.server": {"level": "WARNING", "propagate": True},
        },
    }
