"""By what the audit trail can be narrowed: each filter goes along an index, since the trail is as long as its years."""

from uuid import UUID

import django_filters
from django.db.models import Q, QuerySet

from accounts.api_moments import MadeAfter, MadeBefore
from accounts.audit import OBJECT_TYPES, SYSTEM, Action, Via
from accounts.models import AuditEntry, User


class AuditFilter(django_filters.FilterSet):
    """Filters of `GET audit/`; `actor` is an id or a name."""

    actor = django_filters.CharFilter(method="by_one_actor")
    action = django_filters.ChoiceFilter(method="of_one_action", choices=[(each.value, each.value) for each in Action])
    object_type = django_filters.ChoiceFilter(method="of_one_type", choices=[(each, each) for each in OBJECT_TYPES])
    object_id = django_filters.UUIDFilter()
    request_id = django_filters.CharFilter()
    via = django_filters.ChoiceFilter(choices=[(via.value, via.value) for via in Via])
    at_after = MadeAfter(field_name="at", lookup_expr="gte")
    at_before = MadeBefore(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEntry
        fields: list[str] = []

    def by_one_actor(self, entries: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        """Keep what one actor did."""
        return entries.filter(by_actor(value))

    def of_one_action(self, entries: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        """Keep the deeds of one kind."""
        return entries.filter(of_action(value))

    def of_one_type(self, entries: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        """Keep what was done to objects of one type."""
        return entries.filter(of_type(value))


def by_actor(wanted: str) -> Q:
    """Return the condition for an actor by id or name; a user's entries are found under earlier names too."""
    try:
        return Q(actor_id=UUID(wanted))
    except ValueError:
        found = None if wanted == SYSTEM.name else User.objects.filter(username=wanted).values_list("pk").first()
    # Who is no user, as the server itself, has an entry without an id.
    return Q(actor_id=found[0]) if found else Q(actor_id=None, actor=wanted)


def of_action(wanted: str) -> Q:
    """Return the condition for an action; the second part says to the database that its partial index serves."""
    rare = Q() if wanted == Action.TRIGGER_CREATED else ~Q(action=Action.TRIGGER_CREATED.value)
    return Q(action=wanted) & rare


def of_type(wanted: str) -> Q:
    """Return the condition for a type of object; where no entry can be an acceptance, the partial index serves."""
    rare = Q() if wanted == "trigger" else ~Q(action=Action.TRIGGER_CREATED.value)
    return Q(object_type=wanted) & rare
