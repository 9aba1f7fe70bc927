"""Settings, read from the environment; with none set, the embedded profile runs (DESIGN section 10).

Names and meanings of the variables: docs/guides/operations.md.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

from channels.email_url import email_settings
from execution.states import StepStatus
from notifyflow.logs import logging_config
from notifyflow.secret import embedded_secret_key
from triggers.states import TriggerStatus

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
if (BASE_DIR / ".env").is_file():
    environ.Env.read_env(str(BASE_DIR / ".env"))

VAR_DIR = Path(env.str("NOTIFYFLOW_VAR", default=str(BASE_DIR / "var")))
IS_EMBEDDED = "DATABASE_URL" not in env.ENVIRON
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or (embedded_secret_key(VAR_DIR) if IS_EMBEDDED else "")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework_simplejwt",
    "rest_framework_simplejwt.token_blacklist",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "anymail",
    "notifyflow",
    "accounts",
    "templates",
    "channels",
    "workflows",
    "triggers",
    "execution",
]

MIDDLEWARE = [
    "notifyflow.api.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "notifyflow.urls"
WSGI_APPLICATION = "notifyflow.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- database: short transactions, one connection a thread, none held idle inside a transaction ---

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'notifyflow.sqlite3'}")
}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
else:
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        {
            "connect_timeout": 5,
            "options": "-c idle_in_transaction_session_timeout=30s -c statement_timeout=30s",
        }
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- cache: holds only what may be lost (bell flags, throttles) ---

CACHES: dict[str, dict[str, Any]] = {"default": env.cache_url("CACHE_URL", default="locmemcache://notifyflow")}
if "redis" in CACHES["default"]["BACKEND"].lower():
    CACHES["default"]["BACKEND"] = "django.core.cache.backends.redis.RedisCache"
    CACHES["default"]["OPTIONS"] = {"socket_timeout": 1, "socket_connect_timeout": 1}
CACHES["default"]["KEY_PREFIX"] = env.str("CACHE_KEY_PREFIX", default="notifyflow")

# --- people ---

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# How long a process may go on with what it last read of a user: role, and whether the user is active.
USER_CACHE_SECONDS = env.float("USER_CACHE_SECONDS", default=2.0)

# --- transport security: HTTPS=1 behind a proxy that ends TLS and sets X-Forwarded-Proto ---

HTTPS = env.bool("HTTPS", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"

# --- language, time, static files ---

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static" if IS_EMBEDDED else BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = IS_EMBEDDED or DEBUG
if IS_EMBEDDED:
    # Files come from the finders there, but whitenoise warns about a folder that is not there.
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
if not WHITENOISE_USE_FINDERS:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }

# --- API ---

API_BODY_LIMIT_BYTES = 2 * 1024 * 1024
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasCapability"],
    "DEFAULT_PARSER_CLASSES": ["notifyflow.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "notifyflow.api.pagination.NewestFirst",
    "DEFAULT_FILTER_BACKENDS": ["notifyflow.api.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "notifyflow.api.schema.AutoSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    # With none, the address is the connection's own: X-Forwarded-For is what any client may write.
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
    "DEFAULT_THROTTLE_RATES": {"token": env.str("TOKEN_THROTTLE", default="30/min")},
    "DATETIME_FORMAT": "iso-8601",
    "PAGE_SIZE": 50,
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "ALGORITHM": "HS256",
    "SIGNING_KEY": env.str("JWT_SIGNING_KEY", default="") or SECRET_KEY,
    "UPDATE_LAST_LOGIN": False,
    "TOKEN_OBTAIN_SERIALIZER": "accounts.serializers.TokenSerializer",
}
DRF_STANDARDIZED_ERRORS = {
    "EXCEPTION_HANDLER_CLASS": "notifyflow.api.errors.ApiExceptionHandler",
    "ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "NotifyFlow",
    "DESCRIPTION": "A notification workflow engine: nothing lost, nothing sent twice, everything explained.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "TriggerStatusEnum": [status.value for status in TriggerStatus],
        "StepStatusEnum": [status.value for status in StepStatus],
        "ValidationErrorEnum": "drf_standardized_errors.openapi_serializers.ValidationErrorEnum.choices",
        "ClientErrorEnum": "drf_standardized_errors.openapi_serializers.ClientErrorEnum.choices",
        "ServerErrorEnum": "drf_standardized_errors.openapi_serializers.ServerErrorEnum.choices",
        "ErrorCode401Enum": "drf_standardized_errors.openapi_serializers.ErrorCode401Enum.choices",
        "ErrorCode403Enum": "drf_standardized_errors.openapi_serializers.ErrorCode403Enum.choices",
        "ErrorCode404Enum": "drf_standardized_errors.openapi_serializers.ErrorCode404Enum.choices",
        "ErrorCode405Enum": "drf_standardized_errors.openapi_serializers.ErrorCode405Enum.choices",
        "ErrorCode406Enum": "drf_standardized_errors.openapi_serializers.ErrorCode406Enum.choices",
        "ErrorCode415Enum": "drf_standardized_errors.openapi_serializers.ErrorCode415Enum.choices",
        "ErrorCode429Enum": "drf_standardized_errors.openapi_serializers.ErrorCode429Enum.choices",
        "ErrorCode500Enum": "drf_standardized_errors.openapi_serializers.ErrorCode500Enum.choices",
    },
    "POSTPROCESSING_HOOKS": ["drf_standardized_errors.openapi_hooks.postprocess_schema_enums"],
}

# --- channels ---

DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="NotifyFlow <notifications@notifyflow.example>")
OUTBOX_DIR = VAR_DIR / "outbox"
globals().update(email_settings(env.str("EMAIL_URL", default="outbox://"), env.ENVIRON))
PROVIDER_TIMEOUT_SECONDS = env.float("PROVIDER_TIMEOUT_SECONDS", default=10.0)
EMAIL_TIMEOUT = ANYMAIL_REQUESTS_TIMEOUT = PROVIDER_TIMEOUT_SECONDS
TWILIO_ACCOUNT_SID = env.str("TWILIO_ACCOUNT_SID", default="")
TWILIO_AUTH_TOKEN = env.str("TWILIO_AUTH_TOKEN", default="")
TWILIO_FROM = env.str("TWILIO_FROM", default="")
TWILIO_API_BASE = env.str("TWILIO_API_BASE", default="")
SMS_PROVIDER = env.str("SMS_PROVIDER", default="twilio" if TWILIO_ACCOUNT_SID else "outbox")
DEFAULT_PHONE_REGION = env.str("DEFAULT_PHONE_REGION", default="")

# --- execution: what a worker takes at once and for how long (docs/guides/operations.md) ---

LEASE_SECONDS = env.int("LEASE_SECONDS", default=60)
CLAIM_LIMIT = env.int("CLAIM_LIMIT", default=500)
CLAIM_WORK_SECONDS = env.int("CLAIM_WORK_SECONDS", default=20)
SEND_THREADS = env.int("SEND_THREADS", default=32)

# --- Celery: bells carry no work, so a lost or doubled message costs an empty query (DESIGN section 9) ---

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="memory://")
if CELERY_BROKER_URL == "memory://":
    # kombu warns about a URL without a host, also where none is needed.
    CELERY_BROKER_URL = "memory://localhost/"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# Installations that share a broker need names of their own.
QUEUE_PREFIX = env.str("QUEUE_PREFIX", default="notifyflow")
CELERY_TASK_DEFAULT_QUEUE = f"{QUEUE_PREFIX}.sweep"
CELERY_TASK_SOFT_TIME_LIMIT = 2 * LEASE_SECONDS
CELERY_TASK_TIME_LIMIT = CELERY_TASK_SOFT_TIME_LIMIT + 15
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_HEARTBEAT = 30
CELERY_DB_REUSE_MAX = 1000
CELERY_ENABLE_UTC = True
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any]
if CELERY_BROKER_URL.startswith("memory://"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.02}
elif CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "visibility_timeout": 2 * CELERY_TASK_TIME_LIMIT,
        "global_keyprefix": env.str("BROKER_KEY_PREFIX", default=""),
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True, "confirm_timeout": 2}
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "execution.sweep",
        "schedule": 1.0,
        # A tick that nobody took within a few seconds has been overtaken by the next one.
        "options": {"queue": CELERY_TASK_DEFAULT_QUEUE, "expires": 5},
    }
}

# --- logs ---

LOGGING = logging_config(is_json=not IS_EMBEDDED and not DEBUG, level=env.str("LOG_LEVEL", default="INFO"))

# --- the operator console: django-unfold's looks; its callbacks are named by path ---

LOGIN_REDIRECT_URL = "admin:index"
UNFOLD = {
    "SITE_TITLE": "NotifyFlow",
    "SITE_HEADER": "NotifyFlow",
    "SITE_SUBHEADER": "Operator console",
    "SITE_SYMBOL": "account_tree",
    "SITE_URL": "",
    "BORDER_RADIUS": "6px",
    "SHOW_VIEW_ON_SITE": False,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "execution.console.favicon"}],
    "STYLES": ["execution.console.stylesheet"],
    "DASHBOARD_CALLBACK": "execution.console.dashboard",
    "SIDEBAR": {"navigation": "execution.console.sidebar"},
}
