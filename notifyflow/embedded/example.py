"""The example trigger: asked for over HTTP as a client would, then watched until it has ended."""

import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from http.client import HTTPException
from typing import Any
from uuid import UUID

from django.utils import timezone

from execution.models import Step
from notifyflow.embedded.demo import TRIGGER
from triggers.models import Trigger
from triggers.states import FINISHED

LONGEST_SECONDS = 60
LOOK_SECONDS = 0.05


class ExampleFailed(Exception):
    """The example trigger did not complete; the message says where it stands."""


def trigger_example(base_url: str, *, token: str) -> UUID:
    """Trigger the example workflow and return the trigger's id. Raises ExampleFailed when it is refused."""
    key = f"example-{timezone.now():%Y%m%dT%H%M%S%f}"
    trigger = _post(f"{base_url}/api/v1/triggers/", {**TRIGGER, "idempotency_key": key}, token=token)
    return UUID(trigger["id"])


def watch(trigger_id: UUID) -> Iterator[tuple[datetime, Step]]:
    """Yield each step of the trigger when it changes, with the moment, until the trigger has ended.

    Raises ExampleFailed when it failed or takes longer than LONGEST_SECONDS.
    """
    seen: dict[UUID, str] = {}
    give_up_at = time.monotonic() + LONGEST_SECONDS
    while True:
        # The trigger is read first: what it had done when it ended is then among the steps.
        trigger = Trigger.objects.without_bodies().get(pk=trigger_id)
        for step in Step.objects.filter(trigger_id=trigger_id).order_by("pk"):
            if seen.get(step.pk) != step.status:
                seen[step.pk] = step.status
                yield timezone.now(), step
        if trigger.status in FINISHED:
            break
        if time.monotonic() > give_up_at:
            raise ExampleFailed(f"The example trigger is still {trigger.status} after {LONGEST_SECONDS} s.")
        time.sleep(LOOK_SECONDS)
    if trigger.error:
        raise ExampleFailed(f"The example trigger is {trigger.status}: {trigger.error['message']}")


def _post(url: str, body: dict[str, Any], *, token: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  # our own address
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
    except (OSError, HTTPException) as error:
        raise ExampleFailed(f"The API did not take the example trigger: {error}.") from error
    return answer
