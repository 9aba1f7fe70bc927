"""The database and the RabbitMQ virtual host that the full profile has to itself on local services."""

import shutil
import subprocess
from urllib.parse import urlsplit

import psycopg
from probes import RABBITMQ, Service, look
from psycopg import sql
from starters import CannotStartError, say

NAME = "notifyflow"


def ensure_database(url: str) -> str:
    """Return the URL of the database, made if missing; raises CannotStartError."""
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone()
            if known is None:
                statement = sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0")
                connection.execute(statement.format(sql.Identifier(NAME)))
                say(f"Created the database {NAME}.")
    except psycopg.errors.DuplicateDatabase:
        # Another start was quicker.
        pass
    except psycopg.Error as error:
        raise CannotStartError(
            f"PostgreSQL did not make the database {NAME} ({str(error).strip()}): make it, or set "
            "TEST_DATABASE_URL to a role that may create databases."
        ) from error
    return urlsplit(url)._replace(path=f"/{NAME}").geturl()


def ensure_vhost(url: str) -> str:
    """Return the URL of the virtual host, made if missing; where that is not ours to do, the given one."""
    own = urlsplit(url)._replace(path=f"/{NAME}").geturl()
    if _answers(own):
        return own
    for rabbitmqctl in (["rabbitmqctl"], ["docker", "exec", "notifyflow-test-rabbitmq", "rabbitmqctl"]):
        user = urlsplit(url).username or "guest"
        steps = [["add_vhost", NAME], ["set_permissions", "-p", NAME, user, ".*", ".*", ".*"]]
        if shutil.which(rabbitmqctl[0]) and all(_succeeds([*rabbitmqctl, "-q", *step]) for step in steps):
            break
    if _answers(own):
        say(f"Created the RabbitMQ virtual host {NAME}.")
        return own
    say(f"Using RabbitMQ's default virtual host: making one called {NAME} needs rabbitmqctl's rights.")
    return url


def _answers(url: str) -> bool:
    return look(Service(RABBITMQ.name, "", (url,), RABBITMQ.greet)).url is not None


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
