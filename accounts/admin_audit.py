"""Where system admins read the audit trail: who did what to what, when, and from where."""

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from accounts.admin_base import ReadOnlyAdmin
from accounts.admin_lists import ChoiceFilter, ExactFilter, MadeWithin
from accounts.admin_texts import at, badge, code, excerpt, link
from accounts.audit import OBJECT_TYPES, Action, Via
from accounts.audit_filters import by_actor, of_action, of_type
from accounts.models import AuditEntry
from accounts.roles import Capability

# Names have no index: they are looked for among the newest entries.
MOST_SEARCHED = 10_000
PAIR = 2


class ActionFilter(ChoiceFilter):
    """By action."""

    title = "action"
    parameter_name = "action"
    words = [(action.value, action.value) for action in Action]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the deeds of one kind."""
        chosen = self.value()
        return super().queryset(request, queryset).filter(of_action(chosen) if chosen else Q())


class TypeFilter(ChoiceFilter):
    """By the type of the object."""

    title = "type"
    parameter_name = "object_type"
    words = [(each, each) for each in OBJECT_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what was done to objects of one type."""
        chosen = self.value()
        return super().queryset(request, queryset).filter(of_type(chosen) if chosen else Q())


class ViaFilter(ChoiceFilter):
    """By the way somebody came."""

    title = "via"
    parameter_name = "via"
    words = [(via.value, via.value) for via in Via]


class ActorFilter(ExactFilter):
    """By actor."""

    title = "actor"
    parameter_name = "actor"
    hint = "name or id"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what one actor did."""
        typed = (self.value() or "").strip()
        return queryset.filter(by_actor(typed)) if typed else queryset


class ObjectFilter(ExactFilter):
    """By the object's id."""

    title = "object"
    parameter_name = "object_id"
    hint = "id"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what was done to one object; a text that is no id keeps nothing."""
        try:
            return super().queryset(request, queryset)
        except ValidationError:
            return queryset.none()


class RequestFilter(ExactFilter):
    """By request."""

    title = "request"
    parameter_name = "request_id"
    hint = "X-Request-ID"


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin[AuditEntry]):
    """The audit trail, newest first; nobody changes it, and the database sees to that."""

    readable_with = frozenset({Capability.READ_AUDIT})
    change_form_template = "admin/accounts/audit_entry.html"
    list_display = ("when", "who", "role", "shown_via", "action", "what", "address")
    list_filter = (ActionFilter, TypeFilter, ViaFilter, ActorFilter, ObjectFilter, RequestFilter, MadeWithin)
    # Only to have the box shown; `get_search_results` looks things up itself.
    search_fields = ("actor",)
    search_help_text = f"Part of the name of an actor or object, among the newest {MOST_SEARCHED:,} entries"
    sortable_by = ()
    ordering = ("-pk",)
    fields = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Return the entries without their changes; the page of one fetches its own."""
        return super().get_queryset(request).defer("changes")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Find actors and objects by a part of their names then, among the newest entries."""
        term = search_term.strip()
        if not term:
            return queryset, False
        newest = AuditEntry.objects.order_by("-pk").values("pk")[:MOST_SEARCHED]
        return queryset.filter(Q(actor__icontains=term) | Q(object_name__icontains=term), pk__in=newest), False

    @admin.display(description="When")
    def when(self, entry: AuditEntry) -> str:
        """Show when it was done."""
        return at(entry.at)

    @admin.display(description="Who")
    def who(self, entry: AuditEntry) -> SafeString:
        """Show the actor, as they were called then."""
        return code(entry.actor)

    @admin.display(description="Via")
    def shown_via(self, entry: AuditEntry) -> SafeString:
        """Show the way, with the key that was used."""
        return badge(f"{entry.via} {entry.key_prefix}".strip())

    @admin.display(description="What")
    def what(self, entry: AuditEntry) -> SafeString:
        """Show the object by its name then."""
        return code(excerpt(entry.object_name or str(entry.object_id or ""), 60))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the entry: what changed, from what to what."""
        entry = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if entry is not None:
            shown = {
                "title": f"{entry.actor}: {entry.action}",
                "subtitle": None,
                "when": at(entry.at),
                "object_link": _object_link(entry),
                "changes": _changes(entry.changes),
                "facts": _facts(entry.changes),
            }
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})


def _is_change(value: Any) -> bool:
    return isinstance(value, list) and len(value) == PAIR


def _changes(changes: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what changed: field, before, after."""
    return [(name, _text(value[0]), _text(value[1])) for name, value in changes.items() if _is_change(value)]


def _facts(changes: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what else the entry tells."""
    return [(name, _text(value)) for name, value in changes.items() if not _is_change(value)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _object_link(entry: AuditEntry) -> SafeString:
    """Return the way to the object's page, where there is one: each type is called as its model."""
    name = entry.object_name or str(entry.object_id or "-")
    for model in admin.site._registry:  # noqa: SLF001  # Django has no other list of what has pages
        if model._meta.model_name == entry.object_type and entry.object_id:
            page = reverse(f"admin:{model._meta.app_label}_{entry.object_type}_change", args=[entry.object_id])
            return link(page, name)
    return code(name)
