"""The admin's doors: who gets in, by which pages, and what the menu of one's own user offers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.paginator import InvalidPage
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from accounts import second_factor
from accounts.admin_base import ConsoleAdmin, may_enter
from accounts.audit import actor_of
from accounts.models import User
from accounts.second_factor_views import CodeStep, PasswordStep, SecondFactorPage
from accounts.services import note_new_password

View = Callable[..., HttpResponse]


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold carries no types
    """unfold's admin, which nobody enters without the second factor that they have, or have to have."""

    def has_permission(self, request: HttpRequest) -> bool:
        """Say whether the session may see any page: every page of the admin asks this."""
        return may_enter(request) and second_factor.has_passed(request)

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Take the pages that ask the matrix; what libraries bring, such as the codes' secrets, asks Django."""
        if admin_class is not None and issubclass(admin_class, ConsoleAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Guard a page; who has to add a second factor first is sent to do so, and may sign out."""
        guarded: View = super().admin_view(view, cacheable)

        @wraps(guarded)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not second_factor.has_to_be_added(request):
                return guarded(request, *args, **kwargs)
            if view == self.logout:
                return view(request, *args, **kwargs)
            return HttpResponseRedirect(reverse("admin:second_factor"))

        return inner

    def get_urls(self) -> list[URLPattern]:
        """Return every page but the one that leads to an object's page outside of the admin: nothing has one."""
        return [each for each in super().get_urls() if getattr(each, "name", "") != "view_on_site"]

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Find pages by their names. Raises Http404 for a page of results that there is none of."""
        try:
            found: HttpResponse = super().search(request, extra_context)
        except (ValueError, InvalidPage):
            raise Http404 from None
        return found

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Ask for one's own new password; one's sessions over the API end with the old one."""
        with transaction.atomic():
            answer: HttpResponse = super().password_change(request, extra_context)
            if isinstance(answer, HttpResponseRedirect) and isinstance(request.user, User):
                note_new_password(request.user, by=actor_of(request))
        return answer

    def extra_urls(self) -> list[URLPattern]:
        """Return the pages beside those of Django and unfold; they guard themselves, since they are doors."""
        return [
            path("login/code/", CodeStep.as_view(), name="login_code"),
            path("second-factor/", SecondFactorPage.as_view(), name="second_factor"),
        ]

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """Ask for name and password; a second page asks for the code, where there is a second factor."""
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        context = {
            **self.each_context(request),
            "title": "Log in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            **(extra_context or {}),
        }
        if REDIRECT_FIELD_NAME not in request.GET and REDIRECT_FIELD_NAME not in request.POST:
            context[REDIRECT_FIELD_NAME] = reverse("admin:index")
        request.current_app = self.name
        step = PasswordStep.as_view(
            authentication_form=self.login_form or AdminAuthenticationForm,
            template_name=self.login_template or "admin/login.html",
            extra_context=context,
        )
        return step(request)


def account_links(request: HttpRequest) -> list[dict[str, str]]:
    """Return what the menu of one's own user offers; named by UNFOLD in the settings."""
    return [
        {"title": "Change password", "link": reverse("admin:password_change")},
        {"title": "Second factor", "link": reverse("admin:second_factor")},
    ]
