"""By what triggers are chosen in the console: the term of the search box, and the form of those that are canceled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Q
from django.http import QueryDict
from django.utils import timezone

from accounts.admin_lists import MadeWithin
from accounts.api_moments import MadeAfter, MadeBefore, MomentFormField
from triggers.models import Trigger, TriggerQuerySet
from triggers.states import UNDER_WAY, TriggerStatus
from workflows.filters import of_workflow
from workflows.keys import is_workflow_id
from workflows.models import Workflow
from workflows.priorities import LANES, Priority

MOMENT = "as in 2026-03-05T09:00:00Z"


def named(triggers: TriggerQuerySet, term: str) -> TriggerQuerySet:
    """Keep the triggers with this id or whole idempotency key, each found along an index.

    The index of keys begins with the workflow, so the workflows' ids are named: there are few of them.
    """
    workflows = list(Workflow.objects.values_list("pk", flat=True))
    wanted = Q(workflow__in=workflows, idempotency_key=term)
    return triggers.filter(wanted | Q(pk=term) if is_workflow_id(term) else wanted)


class ChoiceForm(forms.Form):
    """Which triggers under way, by what the API's cancel by filter has, and by what else narrows the console's list."""

    # As the API has it, a status or a priority alone is no choice: every trigger has one.
    CHOOSING = ("workflow", "created_after", "created_before", "key")

    workflow = forms.CharField(max_length=100, required=False, help_text="key or id")
    status = forms.ChoiceField(
        required=False, choices=[("", "all that are under way"), *[(each.value, each.value) for each in UNDER_WAY]]
    )
    priority = forms.ChoiceField(required=False, choices=[("", "every priority"), *[(lane, lane) for lane in LANES]])
    created_after = MomentFormField(required=False, help_text=MOMENT)
    created_before = MomentFormField(required=False, help_text=MOMENT)
    key = forms.CharField(max_length=255, required=False, help_text="whole idempotency key, or id")

    @property
    def is_choice(self) -> bool:
        """Whether the form is valid and says which, so that none is canceled by oversight."""
        return self.is_valid() and any(self.cleaned_data[name] for name in self.CHOOSING)

    @property
    def statuses(self) -> tuple[TriggerStatus, ...]:
        """How the triggers meant may stand."""
        status = self.cleaned_data["status"]
        return (TriggerStatus(status),) if status else UNDER_WAY

    @property
    def triggers(self) -> TriggerQuerySet:
        """The triggers that are meant, however they stand."""
        said = self.cleaned_data
        found: Any = Trigger.objects.all()
        if said["workflow"]:
            found = of_workflow(found, said["workflow"])
        if said["priority"]:
            found = found.filter(priority=Priority.of_lane(said["priority"]))
        if said["key"]:
            found = named(found, said["key"])
        found = MadeAfter(field_name="created_at", lookup_expr="gte").filter(found, said["created_after"])
        found = MadeBefore(field_name="created_at", lookup_expr="lt").filter(found, said["created_before"])
        chosen: TriggerQuerySet = found
        return chosen

    def told(self) -> dict[str, str]:
        """Return what was said, as the audit trail tells it with each trigger."""
        return {name: str(value) for name, value in self.cleaned_data.items() if value}

    def repeated(self) -> dict[str, str]:
        """Return what was said, so that an address or hidden fields say it again."""
        moments = {name: value.isoformat() for name, value in self.cleaned_data.items() if isinstance(value, datetime)}
        return self.told() | moments


def choice_of_list(shown: QueryDict) -> dict[str, str]:
    """Return the form's fields that mean what the list shows, given the parameters of the list's address.

    Nothing that narrows the list is left out: what the form has no word for stands there as it is, and is refused.
    """
    names = {"workflow": "workflow", "status": "status", "priority": "priority", "q": "key"}
    found = {name: str(shown[parameter]) for parameter, name in names.items() if shown.get(parameter)}
    if span := shown.get(MadeWithin.parameter_name):
        _, length = MadeWithin.SPANS.get(span, (span, None))
        found["created_after"] = span if length is None else _moment_ago(length)
    return found


def _moment_ago(length: timedelta) -> str:
    return (timezone.now() - length).astimezone(UTC).isoformat(timespec="seconds")
