"""The forms of the users' pages: a person comes with a password, a service account with an API key instead."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib.auth.forms import UserCreationForm as DjangoUserCreationForm
from unfold.forms import AdminPasswordChangeForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanSwitchWidget

from accounts.models import User

if TYPE_CHECKING:
    _UserCreationForm = DjangoUserCreationForm[User]
else:
    _UserCreationForm = DjangoUserCreationForm


class UserCreationForm(_UserCreationForm):
    """A new user: a person with a password, or a service account without."""

    is_service = forms.BooleanField(
        label="Service account",
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text="A machine: it gets an API key, shown once on the next page, and no password.",
    )

    class Meta:
        model = User
        fields: ClassVar = ("username", "email", "role", "is_service")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("password1", "password2"):
            self.fields[name].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
            self.fields[name].required = False

    def clean(self) -> dict[str, Any]:
        """Ask for a password of a person, and for none of a service account."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("password1", "password2"):
            if values.get("is_service") and values.get(name):
                self.add_error(name, "A service account has no password.")
            elif not values.get("is_service") and not values.get(name) and name not in self.errors:
                self.add_error(name, "This field is required.")
        return values


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[misc]  # unfold carries no types
    """A new password; it can't be taken away, which would lock out the last admin as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)
