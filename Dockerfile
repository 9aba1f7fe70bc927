# One image for web, worker, beat, Flower and migrations; docker-compose.yml gives each its command.

FROM python:3.11.13-slim-bookworm AS build
WORKDIR /app
COPY requirements/base.txt requirements/base.txt
# Hash-checked and resolved beforehand: what is installed here is what the tests ran with.
RUN python -m venv /venv && \
    /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements/base.txt
COPY . .
# The folder must exist before the settings load: by it they choose hashed file names. The values serve this one
# command and stay in this stage.
RUN mkdir staticfiles && \
    SECRET_KEY="$(/venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
    DATABASE_URL=postgres://unused@localhost/unused \
    /venv/bin/python manage.py collectstatic --noinput -v 0

FROM python:3.11.13-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin notifyflow && \
    install -d -o notifyflow -g notifyflow /app/var
WORKDIR /app
COPY --from=build /venv /venv
# Owned by root: a process that serves the world cannot rewrite its own code.
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NOTIFYFLOW_VAR=/app/var \
    GRANIAN_HOST=0.0.0.0 \
    GRANIAN_PORT=8000 \
    GRANIAN_WORKERS=2 \
    GRANIAN_BLOCKING_THREADS=16 \
    GRANIAN_BACKLOG=16384
USER notifyflow
EXPOSE 8000
# No HEALTHCHECK: the same image runs processes that answer to different questions.
CMD ["granian", "--interface", "wsgi", "--no-ws", "--respawn-failed-workers", "--workers-kill-timeout", "30", "notifyflow.wsgi:application"]
