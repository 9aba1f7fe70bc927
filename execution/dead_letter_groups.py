"""What failed alike: open dead letters, grouped, so that one cause is mended once."""

from typing import Any

from django.db.models import Count

from execution.models import DeadLetter

# The newest open dead letters that are looked at, and the most groups told.
MOST_GROUPED = 1_000
MOST_GROUPS = 10


def open_groups() -> list[Any]:
    """Return what failed alike among the newest open dead letters, most first: code, node, workflow, count."""
    newest = DeadLetter.objects.filter(redriven_at=None).order_by("-pk").values("pk")[:MOST_GROUPED]
    return list(
        DeadLetter.objects.filter(pk__in=newest)
        .order_by()
        .values("code", "node_id", "trigger__workflow__key")
        .annotate(count=Count("pk"))
        .order_by("-count", "code", "node_id")[:MOST_GROUPS]
    )
