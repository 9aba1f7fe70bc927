"""How admin pages write things: badges, moments, JSON. Everything that comes from outside is escaped."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

MINUTE = timedelta(minutes=1)


def badge(text: str, kind: str = "") -> SafeString:
    """Return a word in a coloured box; `kind` is good, busy, waiting, bad or nothing."""
    return format_html('<span class="nf-badge nf-{}">{}</span>', kind or "plain", text)


def link(address: str, text: str) -> SafeString:
    """Return a link."""
    return format_html('<a class="nf-link" href="{}">{}</a>', address, text)


def code(text: str) -> SafeString:
    """Return a name that programs use, such as a key or a node's id."""
    return format_html('<code class="nf-code">{}</code>', text) if text else format_html("{}", "-")


def pretty_json(value: Any) -> str:
    """Return a JSON value on many lines, in the letters it was written in."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def excerpt(text: str, most: int = 120) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def at(moment: datetime) -> str:
    """Return a moment in UTC, such as `5 Mar 2026, 09:00:07 UTC`."""
    return f"{moment.day} {moment:%b %Y, %H:%M:%S} UTC"


def at_and_how_far(moment: datetime, *, now: datetime) -> str:
    """Return a moment with its distance from now, such as `5 Mar 2026, 09:00:07 UTC (in 23 hours)`."""
    return f"{at(moment)} ({how_far(moment, now=now)})"


def how_far(moment: datetime, *, now: datetime) -> str:
    """Return how far a moment is from now, in its largest unit."""
    distance = moment - now
    if abs(distance) < MINUTE:
        seconds = int(abs(distance).total_seconds())
        if seconds == 0:
            return "now"
        return f"in {seconds} s" if distance > timedelta(0) else f"{seconds} s ago"
    if distance > timedelta(0):
        return f"in {timeuntil(moment, now, depth=1)}".replace("\xa0", " ")
    return f"{timesince(moment, now, depth=1)} ago".replace("\xa0", " ")
