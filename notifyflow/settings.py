"""Settings, read from the environment; with none set, the embedded profile runs (DESIGN section 10).

Names and meanings of the variables: docs/guides/operations.md.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from accounts.rate_limits import RateLimitsInvalid, limits_from
from channels.email_url import email_settings
from notifyflow.api.schema_settings import SPECTACULAR_SETTINGS  # noqa: F401  # drf-spectacular finds it here
from notifyflow.logs import logging_config
from notifyflow.secret import WeakKey, embedded_secret_key, require_strong

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
if (BASE_DIR / ".env").is_file():
    environ.Env.read_env(str(BASE_DIR / ".env"))

VAR_DIR = Path(env.str("NOTIFYFLOW_VAR", default=str(BASE_DIR / "var")))
IS_EMBEDDED = "DATABASE_URL" not in env.ENVIRON
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or (embedded_secret_key(VAR_DIR) if IS_EMBEDDED else "")
# Keys that were SECRET_KEY before: what they signed is accepted until they are removed.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "accounts.admin_config.ConsoleAdminConfig",
    # Before Django's own users, whose commands it completes.
    "accounts",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework_simplejwt",
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
    "templates",
    "channels",
    "workflows",
    "triggers",
    "execution",
]

MIDDLEWARE = [
    "notifyflow.api.request_id.RequestIdMiddleware",
    "notifyflow.api.headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "notifyflow.outside_api.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "notifyflow.outside_api.AuthenticationMiddleware",
    "notifyflow.outside_api.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# --- other origins: none may read answers, unless named; cookies are never part of it ---

CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = ["authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-request-id"]
CORS_EXPOSE_HEADERS = [
    "X-Request-ID",
    "ETag",
    "Location",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "RateLimit-Policy",
    "Idempotent-Replayed",
    "Idempotent-Payload-Differs",
]
if CORS_ALLOWED_ORIGINS:
    MIDDLEWARE.insert(2, "corsheaders.middleware.CorsMiddleware")

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
    # Django's own backend, with a limit to how long an answer is waited for: a little longer than statement_timeout.
    DATABASES["default"]["ENGINE"] = "notifyflow.postgres"
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        {
            "connect_timeout": 5,
            # Statements that say so are prepared (triggers.sql); a pooler that hands each transaction another
            # connection may lose them (PgBouncer before 1.21 does).
            "prepare_threshold": 1_000_000 if env.bool("PREPARED_STATEMENTS", default=True) else None,
            "options": "-c idle_in_transaction_session_timeout=30s -c statement_timeout=30s",
        }
    )
DATABASE_ANSWER_SECONDS = env.float("DATABASE_ANSWER_SECONDS", default=35.0)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- cache: holds only what may be lost (bell flags, throttles) ---

CACHES: dict[str, dict[str, Any]] = {"default": env.cache_url("CACHE_URL", default="locmemcache://notifyflow")}
if "redis" in CACHES["default"]["BACKEND"].lower():
    CACHES["default"]["BACKEND"] = "django.core.cache.backends.redis.RedisCache"
    CACHES["default"]["OPTIONS"] = {"socket_timeout": 1, "socket_connect_timeout": 1}
CACHES["default"]["KEY_PREFIX"] = env.str("CACHE_KEY_PREFIX", default="notifyflow")

# --- people ---

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# New passwords are hashed with the first; one that was hashed with another is hashed anew at the next sign-in.
PASSWORD_HASHERS = [
    "accounts.hashers.ModestArgon2Hasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]

# --- lock-out: a name from an address, counted in the database (accounts/lockout.py) ---

LOCKOUT_FAILURES = env.int("LOCKOUT_FAILURES", default=10)
LOCKOUT_MINUTES = env.float("LOCKOUT_MINUTES", default=15.0)
AXES_ENABLED = AXES_LOCK_OUT_AT_FAILURE = LOCKOUT_FAILURES > 0
AXES_FAILURE_LIMIT = LOCKOUT_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=LOCKOUT_MINUTES)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "accounts.lockout.Counter"
AXES_USERNAME_CALLABLE = "accounts.lockout.counted_name"
AXES_CLIENT_IP_CALLABLE = "accounts.lockout.counted_address"
AXES_CLIENT_STR_CALLABLE = "accounts.lockout.in_the_log"
AXES_LOCKOUT_CALLABLE = "accounts.lockout.locked_out_page"
AXES_RESET_ON_SUCCESS = True
# Who goes on guessing while locked out neither prolongs it, for the owner behind the same address, nor adds a row.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "password", "otp", "code", "csrfmiddlewaretoken"]

# --- second factor of the admin (accounts/second_factor.py): `optional`, or `required` of everybody who enters ---

ADMIN_SECOND_FACTOR = env.str("ADMIN_SECOND_FACTOR", default="optional")
if ADMIN_SECOND_FACTOR not in ("optional", "required"):
    raise ImproperlyConfigured(f"ADMIN_SECOND_FACTOR is {ADMIN_SECOND_FACTOR!r}; it must be optional or required.")
OTP_TOTP_ISSUER = "NotifyFlow"

# How long a process may go on with what it last read of a user: role, and whether the user is active.
USER_CACHE_SECONDS = env.float("USER_CACHE_SECONDS", default=2.0)

# --- transport security: HTTPS=1 behind a proxy that ends TLS and sets X-Forwarded-Proto ---

HTTPS = env.bool("HTTPS", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 60 * 60
if HTTPS:
    # Under these names a browser takes no cookie that another host of the domain, or plain HTTP, has set.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
X_FRAME_OPTIONS = "DENY"
# What pages may load: their own files. Alpine, which the console runs on, compiles the expressions in its attributes,
# and the console's templates have style sheets and attributes in place; no script stands in a page.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}

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
# Many triggers: in one body, and line by line. Of an upload no more than a chunk is in memory; the embedded profile's
# server keeps all of it on disk before anybody has looked at it.
API_BULK_LIMIT_BYTES = 16 * 1024 * 1024
API_UPLOAD_LIMIT_BYTES = env.int("UPLOAD_LIMIT_MB", default=128 if IS_EMBEDDED else 2048) * 1024 * 1024
# Forms of the console: the largest workflow definition fits, more does not.
DATA_UPLOAD_MAX_MEMORY_SIZE = API_BODY_LIMIT_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 0
try:
    # Requests a minute by role; a user's own `rate_limit` comes before it.
    RATE_LIMITS = limits_from(env.str("RATE_LIMITS", default=""))
except RateLimitsInvalid as error:
    raise ImproperlyConfigured(f"RATE_LIMITS: {error}") from None
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasCapability"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttling.UserThrottle"],
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
# Secrets, PEM, or `file:` and a path (accounts.signing); without one, a secret derived from SECRET_KEY signs.
JWT_SIGNING_KEY = env.str("JWT_SIGNING_KEY", default="")
JWT_OLD_KEYS = env.list("JWT_OLD_KEYS", default=[])
JWT_LEEWAY_SECONDS = env.float("JWT_LEEWAY_SECONDS", default=30.0)
if not DEBUG:
    try:
        for name, key in [("SECRET_KEY", SECRET_KEY), *(("SECRET_KEY_FALLBACKS", key) for key in SECRET_KEY_FALLBACKS)]:
            require_strong(name, key)
    except WeakKey as error:
        raise ImproperlyConfigured(str(error)) from None
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ROTATE_REFRESH_TOKENS": True,
    "AUTH_TOKEN_CLASSES": ("accounts.tokens.AccessToken",),
}
DRF_STANDARDIZED_ERRORS = {
    "EXCEPTION_HANDLER_CLASS": "notifyflow.api.errors.ApiExceptionHandler",
    "ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True,
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
# Connections at once from each worker process, besides SEND_THREADS. A mail server refuses a client that has too many,
# Postfix from 50 on; a service over HTTP minds the rate alone.
EMAIL_CONNECTIONS = env.int("EMAIL_CONNECTIONS", default=32 if "EMAIL_HOST" in globals() else 160)
SMS_CONNECTIONS = env.int("SMS_CONNECTIONS", default=160)

# --- execution: what a worker takes at once and for how long (docs/guides/operations.md) ---

LEASE_SECONDS = env.int("LEASE_SECONDS", default=60)
CLAIM_LIMIT = env.int("CLAIM_LIMIT", default=500)
CLAIM_WORK_SECONDS = env.int("CLAIM_WORK_SECONDS", default=20)
SEND_THREADS = env.int("SEND_THREADS", default=160)
# What a web process runs on request at once (POST triggers/{id}/process/); its other threads go on answering.
PROCESS_AT_ONCE = env.int("PROCESS_AT_ONCE", default=2)

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
# However long the broker is away: nobody has to start a worker or beat again when it is back.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CONSUMER = "notifyflow.consumer:Consumer"
CELERY_BROKER_HEARTBEAT = 30
CELERY_DB_REUSE_MAX = 1000
CELERY_ENABLE_UTC = True
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any]
if CELERY_BROKER_URL.startswith("memory://"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.02}
elif CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "socket_timeout": 2,
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
        # Beat keeps its connection: without a retry it never finds out that the broker has cut it, and ticks in vain.
        "options": {
            "queue": CELERY_TASK_DEFAULT_QUEUE,
            "expires": 5,
            "retry": True,
            "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
        },
    }
}

# --- logs ---

LOGGING = logging_config(
    is_json=not IS_EMBEDDED and not DEBUG,
    level=env.str("LOG_LEVEL", default="INFO"),
    secrets=[SECRET_KEY, *SECRET_KEY_FALLBACKS, JWT_SIGNING_KEY, *JWT_OLD_KEYS, TWILIO_AUTH_TOKEN]
    + [value for name, value in env.ENVIRON.items() if name.startswith("ANYMAIL_") and "KEY" in name],
)

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
    "ACCOUNT": {"navigation": "accounts.admin_site.account_links"},
}
