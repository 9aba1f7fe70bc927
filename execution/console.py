"""The admin's frame: what the navigation offers to whom, the figures on the first page, the style sheet.

Named by `UNFOLD` in the settings.
"""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone

from accounts.admin_base import may
from accounts.admin_lists import count_up_to, first_id_at
from accounts.admin_texts import how_far
from accounts.roles import Capability
from execution.dead_letter_groups import MOST_GROUPED, open_groups
from execution.models import DeadLetter, SweepTick
from execution.repairs import LONGEST_WAIT, told
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.models import Workflow
from workflows.priorities import Priority

MOST_COUNTED = 10_000
# The sweep runs every second; so late it is not running, or can't.
LATEST_SWEEP = timedelta(seconds=30)


def stylesheet(request: HttpRequest) -> str:
    """Return the address of the admin's own style sheet."""
    return static("accounts/console.css")


def favicon(request: HttpRequest) -> str:
    """Return the address of the admin's icon."""
    return static("accounts/favicon.svg")


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the navigation of whoever asks."""
    groups: list[tuple[str, list[tuple[str, str, str, Capability | None]]]] = [
        ("", [("Overview", "dashboard", "admin:index", None)]),
        (
            "What should happen",
            [
                ("Workflows", "account_tree", "admin:workflows_workflow_changelist", Capability.MANAGE_WORKFLOWS),
                ("Versions", "history", "admin:workflows_workflowversion_changelist", Capability.MANAGE_WORKFLOWS),
            ],
        ),
        (
            "What does happen",
            [
                ("Triggers", "bolt", "admin:triggers_trigger_changelist", Capability.MANAGE_TRIGGERS),
                ("Steps", "checklist", "admin:execution_step_changelist", Capability.READ_STEPS),
                ("Dead letters", "inventory", "admin:execution_deadletter_changelist", Capability.MANAGE_TRIGGERS),
            ],
        ),
        (
            "Who may, and who did",
            [
                ("Users", "group", "admin:accounts_user_changelist", Capability.MANAGE_USERS),
                ("API keys", "key", "admin:accounts_apikey_changelist", Capability.MANAGE_USERS),
                ("Audit trail", "policy", "admin:accounts_auditentry_changelist", Capability.READ_AUDIT),
            ],
        ),
    ]
    return [
        {
            "title": title,
            "separator": bool(title),
            "items": [
                {"title": name, "icon": icon, "link": reverse(view)}
                for name, icon, view, needed in items
                if needed is None or may(request, needed)
            ],
        }
        for title, items in groups
        if any(needed is None or may(request, needed) for *_, needed in items)
    ]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures that whoever asks may see."""
    figures = []
    if may(request, Capability.MANAGE_TRIGGERS):
        figures += _trigger_figures()
        context = {**context, "groups": open_groups(), "most": MOST_GROUPED}
    if may(request, Capability.MANAGE_WORKFLOWS):
        figures += _workflow_figures()
    return {**context, "figures": [*figures, _sweep_figure()]}


def _figure(name: str, value: str, note: str, *, to: str = "", kind: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "note": note, "to": to, "kind": kind}


def _trigger_figures() -> list[dict[str, str]]:
    """Count along the partial indexes, and never further than MOST_COUNTED."""
    now = timezone.now()
    triggers = reverse("admin:triggers_trigger_changelist")
    enqueued = Trigger.objects.filter(status=TriggerStatus.ENQUEUED, priority__in=list(Priority))
    due = _bounded(enqueued.filter(available_at__lte=now))
    processing = _bounded(Trigger.objects.filter(status=TriggerStatus.PROCESSING))
    failed = Trigger.objects.filter(status=TriggerStatus.FAILED, pk__gte=first_id_at(now - timedelta(days=1)))
    letters = count_up_to(DeadLetter.objects.open(), MOST_COUNTED + 1)
    return [
        _figure("Enqueued", _bounded(enqueued), f"{due} of them due now", to=f"{triggers}?status=enqueued"),
        _figure("Processing", processing, "held by a worker now", to=f"{triggers}?status=processing"),
        _figure(
            "Failed", _bounded(failed), "of those created in the past day", to=f"{triggers}?status=failed&created=day"
        ),
        _figure(
            "Open dead letters",
            _words(letters),
            "wait for a person" if letters else "nothing waits for a person",
            to=f"{reverse('admin:execution_deadletter_changelist')}?state=open",
            kind="bad" if letters else "good",
        ),
    ]


def _workflow_figures() -> list[dict[str, str]]:
    workflows = Workflow.objects.present()
    active = workflows.filter(is_active=True).count()
    inactive = workflows.filter(is_active=False).count()
    to = reverse("admin:workflows_workflow_changelist")
    return [_figure("Active workflows", f"{active:,}", f"and {inactive:,} inactive", to=to)]


def _sweep_figure() -> dict[str, str]:
    now = timezone.now()
    tick = SweepTick.objects.first()
    if tick is None:
        return _figure("Sweep", "never", "no sweep has run: is beat running?", kind="bad")
    when = how_far(tick.ticked_at, now=now)
    if now - tick.ticked_at > LATEST_SWEEP:
        return _figure("Sweep", when, "too long ago: is beat running?", kind="bad")
    if tick.oldest_due_at is not None and tick.ticked_at - tick.oldest_due_at > LONGEST_WAIT:
        waits = f"something has been due since {how_far(tick.oldest_due_at, now=now)}: are workers running?"
        return _figure("Sweep", when, waits, kind="bad")
    repaired = f". {told(tick)}" if tick.last_repair_at else ""
    return _figure("Sweep", when, f"delays and repairs are on time{repaired}", kind="good")


def _bounded(rows: Any) -> str:
    return _words(count_up_to(rows, MOST_COUNTED + 1))


def _words(count: int) -> str:
    return f"{count:,}" if count <= MOST_COUNTED else f"{MOST_COUNTED:,}+"
