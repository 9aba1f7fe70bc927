"""What failed alike: open dead letters, grouped, so that one cause is mended once."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Max, Min

from execution.models import DeadLetter

# The newest open dead letters that are looked at for a page, and the most groups told there.
MOST_GROUPED = 1_000
MOST_GROUPS = 10
# The same for programs, which ask less often and can take more.
MOST_GROUPED_FOR_API = 10_000
MOST_GROUPS_FOR_API = 100

ALIKE = ("code", "node_id", "trigger__workflow__key")


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups, most letters first; `is_complete` says that no open letter and no group was left out."""

    groups: list[Any]
    counted: int
    is_complete: bool


def open_groups() -> list[Any]:
    """Return what failed alike among the newest open dead letters, most first: code, node, workflow, count."""
    newest = DeadLetter.objects.open().order_by("-pk").values("pk")[:MOST_GROUPED]
    return list(
        DeadLetter.objects.filter(pk__in=newest)
        .order_by()
        .values(*ALIKE)
        .annotate(count=Count("pk"))
        .order_by("-count", "code", "node_id")[:MOST_GROUPS]
    )


def grouped() -> Grouping:
    """Return the groups of the newest open dead letters, each with its first and last failure."""
    newest = DeadLetter.objects.open().order_by("-pk").values("pk")[:MOST_GROUPED_FOR_API]
    groups = list(
        DeadLetter.objects.filter(pk__in=newest)
        .order_by()
        .values("workflow_id", "node_id", "code", workflow_key=F("workflow__key"))
        .annotate(count=Count("pk"), first_failed_at=Min("first_failed_at"), last_failed_at=Max("last_failed_at"))
        .order_by("-count", "workflow_key", "node_id", "code")[: MOST_GROUPS_FOR_API + 1]
    )
    shown = groups[:MOST_GROUPS_FOR_API]
    counted = sum(group["count"] for group in shown)
    has_older = newest.count() == MOST_GROUPED_FOR_API
    return Grouping(shown, counted, is_complete=len(groups) == len(shown) and not has_older)
