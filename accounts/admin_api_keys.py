"""Where system admins look after the API keys of service accounts: made here, shown once, revoked, never changed."""

from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from accounts.admin_actions import Question, confirmed, list_of
from accounts.admin_base import ConsoleAdmin, may
from accounts.admin_lists import ChoiceFilter
from accounts.admin_texts import badge, code
from accounts.api_keys import create_key, grantable_scopes, revoke_key
from accounts.audit import actor_of
from accounts.models import ApiKey, User
from accounts.roles import Capability, Role

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[ApiKey]
else:
    _ModelForm = forms.ModelForm

ASKED_FOR = ("user", "name", "scopes", "expires_at")
SHOWN = ("prefix", "user", "name", "granted", "created_at", "expires_at", "last_used_at", "revoked_at")
REVOKE = Question(
    title="Revoke this API key?",
    text="Whatever uses it is refused within seconds. A revoked key can't be brought back; make a new one first.",
    submit="Revoke",
    is_grave=True,
)


# Keys on their way from the saving of a form to the page that answers it, by the object that the form made.
shown_once: WeakKeyDictionary[Model, str] = WeakKeyDictionary()


class ApiKeyForm(_ModelForm):
    """A new key of a service account."""

    scopes = forms.MultipleChoiceField(
        required=False,
        choices=[(capability.value, capability.value) for capability in Capability],
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: everything that the role grants.",
    )
    expires_at = forms.SplitDateTimeField(
        label="Expires at", required=False, widget=UnfoldAdminSplitDateTimeWidget(), help_text="Empty: never. In UTC."
    )

    class Meta:
        model = ApiKey
        fields: ClassVar = ("user", "name", "scopes", "expires_at")
        widgets: ClassVar = {"name": UnfoldAdminTextInputWidget()}

    def clean(self) -> dict[str, Any]:
        """Refuse scopes that the account's role doesn't grant, and an expiry in the past."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        user, expires_at = values.get("user"), values.get("expires_at")
        if user is not None:
            denied = set(values.get("scopes") or ()) - grantable_scopes(Role(user.role))
            if denied:
                self.add_error("scopes", f"A key of the role {user.role} can't have: {', '.join(sorted(denied))}.")
        if expires_at is not None and expires_at <= timezone.now():
            self.add_error("expires_at", "This moment has passed.")
        values["scopes"] = sorted(values.get("scopes") or ()) or None
        return values


class StateFilter(ChoiceFilter):
    """By whether the key still lets somebody in."""

    title = "state"
    parameter_name = "state"
    words = [("active", "active"), ("ended", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the keys in the chosen state."""
        ended = Q(revoked_at__isnull=False) | Q(expires_at__lte=timezone.now())
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(~ended if chosen == "active" else ended)


@admin.register(ApiKey)
class ApiKeyAdmin(ConsoleAdmin[ApiKey]):
    """API keys: what can be told of them without being able to use them."""

    readable_with = frozenset({Capability.MANAGE_USERS})
    writable_with = frozenset({Capability.MANAGE_USERS})
    form = ApiKeyForm
    list_display = ("key", "user", "name", "granted", "state", "expires_at", "last_used_at")
    list_filter = (StateFilter,)
    list_select_related = ("user",)
    search_fields = ("prefix", "name", "user__username")
    search_help_text = "Part of a key's beginning, of its name or of the account's"
    sortable_by = ("last_used_at",)
    ordering = ("-id",)
    actions_detail = ["revoke"]

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Say no: what a key grants is fixed when it is handed out."""
        return False

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether a key can be revoked."""
        return may(request, *self.writable_with)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Say no: revoke instead, so that it stays known what was used."""
        return False

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Return what the form asks for, or what the page shows."""
        return ASKED_FOR if obj is None else SHOWN

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Return every field of a key that stands."""
        return () if obj is None else SHOWN

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the active service accounts."""
        kwargs["queryset"] = User.objects.filter(is_service=True, is_active=True).order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="Key")
    def key(self, key: ApiKey) -> SafeString:
        """Show the beginning of the key."""
        return code(f"{key.prefix}...")

    @admin.display(description="Scopes")
    def granted(self, key: ApiKey) -> str:
        """Show what the key is narrowed to."""
        return "all of the role" if key.scopes is None else ", ".join(key.scopes)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        """Show whether the key lets somebody in."""
        if key.revoked_at is not None:
            return badge("revoked")
        if key.expires_at is not None and key.expires_at <= timezone.now():
            return badge("expired", "waiting")
        return badge("active", "good") if key.user.is_active else badge("account inactive")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Make the key; its text goes to the page that follows and nowhere else."""
        values = {name: form.cleaned_data[name] for name in ("name", "scopes", "expires_at")}
        made, text = create_key(obj.user, **values, by=actor_of(request))
        obj.pk = made.pk
        obj.refresh_from_db()
        shown_once[obj] = text

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key; no redirect, because what a redirect carries along is kept somewhere."""
        return key_page(request, self, user=obj.user, key=shown_once.pop(obj))

    @confirmed(REVOKE, permission="revoke", icon="key_off")
    def revoke(self, request: HttpRequest, key: ApiKey) -> None:
        """Revoke the key."""
        revoke_key(key.pk, by=actor_of(request))
        messages.success(request, f"{key.prefix}... is revoked.")


def key_page(request: HttpRequest, model_admin: Any, *, user: User, key: str) -> HttpResponse:
    """Return the one page that shows a key."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "The API key",
        "user": user,
        "key": key,
        "back_to": list_of(ApiKey),
    }
    return TemplateResponse(request, "admin/accounts/key_created.html", context)
