"""The admin's pages around signing in: the password, then the code; and the page where one's second factor is kept.

Between password and code nobody is signed in: the session only remembers whose password was right, for ten minutes.
"""

from datetime import datetime, timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import lockout, second_factor
from accounts.audit import Action, Actor, actor_of, record
from accounts.models import User

PENDING = "signing_in"
PENDING_FOR = timedelta(minutes=10)
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class CodeForm(forms.Form):
    """A code: the phone's, or one of the recovery codes."""

    code = forms.CharField(
        max_length=20,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": "", "spellcheck": "false", "autocapitalize": "none"}
        ),
    )


class PasswordStep(LoginView):
    """The first page: name and password."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in, or go on to the code."""
        user: Any = form.get_user()
        if second_factor.device_of(user) is None:
            login(self.request, user)
            _record_sign_in(actor_of(self.request), user)
            return HttpResponseRedirect(self.get_success_url())
        # Another key than before, which somebody may have slipped into this browser.
        self.request.session.cycle_key()
        self.request.session[PENDING] = {
            "user": str(user.pk),
            "password": user.get_session_auth_hash(),
            "at": timezone.now().isoformat(),
            "next": self.get_success_url(),
        }
        return HttpResponseRedirect(reverse("admin:login_code"))


@method_decorator([sensitive_post_parameters("code"), csrf_protect, never_cache], name="dispatch")
class CodeStep(View):
    """The second page: the code. Without a right password lately it is not there."""

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for the code."""
        return self._again() if _pending_user(request) is None else self._page(request, CodeForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Take the code; sign in when it is right."""
        user = _pending_user(request)
        if user is None:
            return self._again()
        name = user.get_username()
        if lockout.is_locked(request, name):
            return self._locked_out(request, name)
        form = CodeForm(request.POST)
        if not form.is_valid():
            return self._page(request, form)
        try:
            second_factor.check(request, user, form.cleaned_data["code"])
        except second_factor.SecondFactorWrong as error:
            if lockout.is_locked(request, name):
                return self._locked_out(request, name)
            form.add_error("code", str(error.detail))
            return self._page(request, form)
        to = request.session.pop(PENDING)["next"]
        login(request, user, backend=MODEL_BACKEND)
        second_factor.pass_session(request, user)
        _record_sign_in(actor_of(request), user)
        return HttpResponseRedirect(to)

    def _page(self, request: HttpRequest, form: CodeForm) -> HttpResponse:
        return _answer(request, "code_step", {"title": "Second factor", "form": form})

    def _again(self) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:login"))

    def _locked_out(self, request: HttpRequest, name: str) -> HttpResponse:
        request.session.pop(PENDING, None)
        return lockout.locked_out_page(request, None, {"username": name})


@method_decorator([sensitive_post_parameters("code"), csrf_protect, never_cache], name="dispatch")
class SecondFactorPage(View):
    """Where people add and remove their own second factor; there is no way to name somebody else's."""

    http_method_names = ["get", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Let in who may enter the admin, and who may but for the second factor that they are to add here."""
        if admin.site.has_permission(request) or second_factor.has_to_be_added(request):
            return super().dispatch(request, *args, **kwargs)
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show what there is: a second factor, or the secret of the one to add."""
        return self._page(request, CodeForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Add a second factor, or remove it; either takes a code."""
        user = _user_of(request)
        if lockout.is_locked(request, user.get_username()):
            return lockout.locked_out_page(request, None, {"username": user.get_username()})
        form = CodeForm(request.POST)
        if not form.is_valid():
            return self._page(request, form)
        has_one = second_factor.device_of(user) is not None
        if has_one != (request.POST.get("action") == "remove"):
            # The page was made before the second factor was added, or removed, in another window.
            return HttpResponseRedirect(reverse("admin:second_factor"))
        try:
            return (self._remove if has_one else self._add)(request, user, form.cleaned_data["code"])
        except second_factor.SecondFactorWrong as error:
            form.add_error("code", str(error.detail))
            return self._page(request, form)
        except second_factor.AlreadyAdded:
            return HttpResponseRedirect(reverse("admin:second_factor"))

    def _add(self, request: HttpRequest, user: User, code: str) -> HttpResponse:
        codes = second_factor.add(user, code, by=actor_of(request))
        request.session.cycle_key()
        second_factor.pass_session(request, user)
        title = "Your recovery codes"
        return _answer(request, "recovery_codes", {"title": title, "codes": codes})

    def _remove(self, request: HttpRequest, user: User, code: str) -> HttpResponse:
        second_factor.check(request, user, code)
        second_factor.remove(user, by=actor_of(request))
        messages.success(request, "The second factor is removed.")
        return HttpResponseRedirect(reverse("admin:second_factor"))

    def _page(self, request: HttpRequest, form: CodeForm) -> HttpResponse:
        user = _user_of(request)
        context: dict[str, Any] = {"title": "Second factor", "form": form}
        if second_factor.device_of(user) is not None:
            context["codes_left"] = second_factor.recovery_codes_left(user)
            return _answer(request, "second_factor", context)
        shown = second_factor.pending_device if form.is_bound else second_factor.new_pending_device
        device = shown(user)
        context |= {
            "picture": second_factor.picture(device),
            "secret": second_factor.secret_text(device),
        }
        return _answer(request, "second_factor_add", context)


def _answer(request: HttpRequest, page: str, context: dict[str, Any]) -> TemplateResponse:
    frame = admin.site.each_context(request)
    if not frame["has_permission"]:
        # There is nowhere to go from here but through the door.
        frame |= {"is_nav_sidebar_enabled": False, "available_apps": []}
    return TemplateResponse(request, f"admin/accounts/{page}.html", {**frame, **context})


def _user_of(request: HttpRequest) -> User:
    # The page lets nobody else in.
    return cast("User", request.user)


def _pending_user(request: HttpRequest) -> User | None:
    """Return whose password was right in this session within PENDING_FOR, if they are still let in and it still is."""
    pending = request.session.get(PENDING)
    if pending is None:
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True, is_staff=True).first()
    is_fresh = timezone.now() - datetime.fromisoformat(pending["at"]) < PENDING_FOR
    if user is None or not is_fresh or not constant_time_compare(pending["password"], user.get_session_auth_hash()):
        del request.session[PENDING]
        return None
    return user


def _record_sign_in(by: Actor, user: User) -> None:
    record(by, Action.USER_SIGNED_IN, object_type="user", object_id=user.pk, object_name=user.username)
