"""Where system admins look after users; each user has one role, and `accounts.roles` says what it grants."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from unfold.forms import UserChangeForm

from accounts import admin_audit  # noqa: F401  # registers the pages of the audit trail
from accounts.admin_api_keys import key_page, shown_once
from accounts.admin_base import ConsoleAdmin
from accounts.admin_lists import ChoiceFilter
from accounts.admin_texts import badge
from accounts.admin_user_forms import PasswordForm, UserCreationForm
from accounts.api_keys import create_key
from accounts.audit import actor_of
from accounts.lockout_admin import SignInHelp
from accounts.models import User
from accounts.roles import Capability, Role
from accounts.services import LastSystemAdmin, OwnRoleRaised, change_user, create_user, note_new_password

if TYPE_CHECKING:
    _UserAdmin = DjangoUserAdmin[User]
else:
    _UserAdmin = DjangoUserAdmin


class RoleFilter(ChoiceFilter):
    """By role."""

    title = "role"
    parameter_name = "role"
    words = [(role.value, role.value) for role in Role]


class ActiveFilter(ChoiceFilter):
    """By whether the user may sign in."""

    title = "state"
    parameter_name = "is_active"
    words = [(True, "active"), (False, "inactive")]


@admin.register(User)
class UserAdmin(SignInHelp, _UserAdmin, ConsoleAdmin[User]):
    """Users: make them, change them, deactivate them. There is no deletion: who did something stays known."""

    readable_with = frozenset({Capability.MANAGE_USERS})
    writable_with = frozenset({Capability.MANAGE_USERS})
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = PasswordForm
    list_display = ("username", "email", "role", "kind", "state", "locked", "has_second_factor", "last_login")
    actions_detail = SignInHelp.sign_in_actions
    list_filter = (RoleFilter, ActiveFilter)
    search_fields = ("username", "email")
    search_help_text = "Part of a name or email address"
    sortable_by = ("username", "email", "role", "last_login")
    ordering = ("username",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "email", "password")}),
        ("What the user may do", {"fields": ("role", "is_active", "rate_limit")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "email", "role", "is_service", "password1", "password2")}),)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Return the form's parts; a service account has no password to show."""
        if obj is None or not obj.is_service:
            return super().get_fieldsets(request, obj)
        return (("Service account", {"fields": ("username", "email")}), *self.fieldsets[1:])

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Say no: deactivate instead."""
        return False

    @admin.display(description="State")
    def state(self, user: User) -> SafeString:
        """Show whether the user may sign in."""
        return badge("active", "good") if user.is_active else badge("inactive")

    @admin.display(description="Kind")
    def kind(self, user: User) -> str:
        """Show whether this is somebody or something."""
        return "service account" if user.is_service else "person"

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or take the form; the last system admin stays one."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except LastSystemAdmin:
            messages.error(request, "This is the last active systemAdmin; make another one first.")
        except OwnRoleRaised:
            messages.error(request, "Nobody raises their own role; ask another systemAdmin.")
        return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Store a new user, or change one, by the services."""
        by = actor_of(request)
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data if name != "password"}
            change_user(obj.pk, changes, by=by)
            return
        values = {name: form.cleaned_data[name] for name in ("username", "email", "role", "is_service")}
        made = create_user(password=form.cleaned_data["password1"] or None, by=by, **values)
        obj.pk = made.pk
        obj.refresh_from_db()
        if made.is_service:
            shown_once[obj] = create_key(made, by=by)[1]

    def response_add(self, request: HttpRequest, obj: User, post_url_continue: str | None = None) -> HttpResponse:
        """Show the first key of a service account; go on to the page of a person."""
        if obj.is_service:
            return key_page(request, self, user=obj, key=shown_once.pop(obj))
        return super().response_add(request, obj, post_url_continue)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002  # Django's name
        """Show or take a new password; the user's sessions end with the old one."""
        user = self.get_object(request, unquote(id))
        if user is not None and user.is_service:
            raise PermissionDenied
        with transaction.atomic():
            response: HttpResponse = super().user_change_password(request, id, form_url)
            if user is not None and isinstance(response, HttpResponseRedirect):
                note_new_password(user, by=actor_of(request))
        return response
