"""Buttons that do something: asked for by GET, done by POST, never without a confirmation.

unfold draws a button for each method named in `actions_detail` and reads what to write on it from the method's
attributes; `confirmed` sets them, and puts a page between the button and the deed. With JavaScript the page's part
with the id `dialog` comes up over the current one; without, the page itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.enums import ActionVariant

A = TypeVar("A", bound="ModelAdmin[Any]")
Act = Callable[[A, HttpRequest, Any], None]
View = Callable[[A, HttpRequest, str], HttpResponse]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before something is done; `is_grave` paints the button that does it red."""

    title: str
    text: str
    submit: str
    is_grave: bool = False


def confirmed(question: Question, *, permission: str, icon: str) -> Callable[[Act[A]], View[A]]:
    """Make a detail button of a method that does something to an object, asking `question` first.

    The method is called with the request and the object, tells its outcome in messages, and the page of the object
    follows. Whoever lacks the admin's `has_<permission>_permission` gets 403.
    """

    def decorate(act: Act[A]) -> View[A]:
        @wraps(act)
        def view(model_admin: A, request: HttpRequest, object_id: str) -> HttpResponse:
            if not getattr(model_admin, f"has_{permission}_permission")(request):
                raise PermissionDenied
            found = model_admin.get_object(request, unquote(object_id))
            if found is None:
                messages.warning(request, "There is no such object; perhaps it was deleted.")
                return HttpResponseRedirect(reverse("admin:index"))
            if request.method != "POST":
                return confirmation_page(model_admin, request, question, back_to=page_of(found))
            act(model_admin, request, found)
            return HttpResponseRedirect(page_of(found))

        view.__dict__.update(
            short_description=question.title.rstrip("?"),
            allowed_permissions=(permission,),
            url_path=act.__name__.replace("_", "-"),
            attrs={},
            icon=icon,
            variant=ActionVariant.DANGER if question.is_grave else ActionVariant.DEFAULT,
            dialog={"title": question.title},
            original_function_name=act.__name__,
        )
        return view

    return decorate


def confirmation_page(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    question: Question,
    *,
    back_to: str,
    fields: tuple[tuple[str, str], ...] = (),
    subjects: tuple[str, ...] = (),
) -> TemplateResponse:
    """Return the page that asks; its button posts `fields` back to the address it came from."""
    return TemplateResponse(
        request,
        "admin/accounts/confirm.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "title": question.title,
            "question": question,
            "back_to": back_to,
            "fields": fields,
            "subjects": subjects,
        },
    )


def page_of(found: Model) -> str:
    """Return the address of an object's page."""
    return reverse(f"admin:{found._meta.app_label}_{found._meta.model_name}_change", args=[found.pk])


def list_of(model: type[Model]) -> str:
    """Return the address of a model's list."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
