"""Where system admins look after users; each user has one role, and `accounts.roles` says what it grants."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserCreationForm as DjangoUserCreationForm
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.safestring import SafeString
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.forms import AdminPasswordChangeForm, UserChangeForm
from unfold.widgets import UnfoldAdminPasswordWidget

from accounts.admin_base import ConsoleAdmin
from accounts.admin_lists import ChoiceFilter
from accounts.admin_texts import badge
from accounts.models import User
from accounts.roles import Capability, Role
from accounts.services import LastSystemAdmin, change_user

if TYPE_CHECKING:
    _UserAdmin = DjangoUserAdmin[User]
    _UserCreationForm = DjangoUserCreationForm[User]
else:
    _UserAdmin, _UserCreationForm = DjangoUserAdmin, DjangoUserCreationForm

# Roles take the place of groups, and a page of tokens would show what lets one act as somebody else.
for unused in (Group, OutstandingToken, BlacklistedToken):
    admin.site.unregister(unused)


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


class UserCreationForm(_UserCreationForm):
    """A new user, with a password."""

    class Meta:
        model = User
        fields: ClassVar = ("username", "email", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("password1", "password2"):
            self.fields[name].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[misc]  # unfold carries no types
    """A new password; it can't be taken away, which would lock out the last admin as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)


@admin.register(User)
class UserAdmin(_UserAdmin, ConsoleAdmin[User]):
    """Users: make them, change them, deactivate them. There is no deletion: who did something stays known."""

    readable_with = frozenset({Capability.MANAGE_USERS})
    writable_with = frozenset({Capability.MANAGE_USERS})
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = PasswordForm
    list_display = ("username", "email", "role", "state", "last_login")
    list_filter = (RoleFilter, ActiveFilter)
    search_fields = ("username", "email")
    search_help_text = "Part of a name or email address"
    sortable_by = ("username", "email", "role", "last_login")
    ordering = ("username",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "email", "password")}),
        ("What the user may do", {"fields": ("role", "is_active")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "email", "role", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Return all users."""
        return super().get_queryset(request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Say no: deactivate instead."""
        return False

    @admin.display(description="State")
    def state(self, user: User) -> SafeString:
        """Show whether the user may sign in."""
        return badge("active", "good") if user.is_active else badge("inactive")

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or take the form; the last system admin stays one."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except LastSystemAdmin:
            messages.error(request, "This is the last active systemAdmin; make another one first.")
            return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Store a new user, or change one by the service that guards the last admin."""
        if not change:
            obj.save()
            return
        changes = {name: form.cleaned_data[name] for name in form.changed_data if name != "password"}
        change_user(obj.pk, changes)
