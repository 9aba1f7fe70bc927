"""The project's settings for a test run: its own database on the real PostgreSQL, nothing shared with another run."""

import os
import tempfile

from django.conf import global_settings

# Set once by the first process of the run and inherited by the others, so that all agree on the names.
RUN = os.environ.setdefault("NOTIFYFLOW_TEST_RUN", f"{os.getpid():x}")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")

TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
TEST_AMQP_URL = os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
TEST_REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")

os.environ["DATABASE_URL"] = TEST_DATABASE_URL
os.environ["SECRET_KEY"] = "a-key-for-tests-only-" + "x" * 40
os.environ["NOTIFYFLOW_VAR"] = os.path.join(tempfile.gettempdir(), f"notifyflow-test-{RUN}-{WORKER}")
for name in ("CELERY_BROKER_URL", "CACHE_URL", "EMAIL_URL", "SMS_PROVIDER", "TWILIO_ACCOUNT_SID", "DEBUG", "HTTPS"):
    os.environ.pop(name, None)

# Queues and keys of this run alone, on brokers that other runs may use too.
os.environ["QUEUE_PREFIX"] = os.environ["BROKER_KEY_PREFIX"] = f"notifyflow-test-{RUN}-{WORKER}"

from notifyflow.settings import *  # noqa: E402, F403  # the environment above decides what these are
from notifyflow.settings import DATABASES, REST_FRAMEWORK, VAR_DIR  # noqa: E402

DATABASES["default"]["TEST"] = {"NAME": f"test_notifyflow_{RUN}"}
# Tests that count queries, and those that change users, mean every request; the memory has tests of its own.
USER_CACHE_SECONDS = 0
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_USE_FINDERS = True
STORAGES = global_settings.STORAGES
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
REST_FRAMEWORK["TEST_REQUEST_DEFAULT_FORMAT"] = "json"
