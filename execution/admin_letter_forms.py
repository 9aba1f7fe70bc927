"""The forms with which operators decide about dead letters, and the page that asks with one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.enums import ActionVariant

from accounts.admin_actions import Question, list_of
from execution.dead_letter_deeds import LONGEST_REASON, MOST_PER_SECOND, PER_SECOND
from execution.dead_letters import Selection
from execution.models import DeadLetter
from execution.redrive import WhichVersion

A = TypeVar("A", bound="ModelAdmin[Any]")
VERSIONS = [
    (WhichVersion.PINNED.value, "the version that each started on"),
    (WhichVersion.NEWEST.value, "the newest version, where the run can go on there"),
]


class ReasonForm(forms.Form):
    """Why something is discarded."""

    reason = forms.CharField(
        max_length=LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 3, "class": "nf-definition"})
    )


class SelectionForm(forms.Form):
    """Which open dead letters; as the groups on the list have them."""

    workflow = forms.CharField(max_length=100, required=False, help_text="key or id")
    node = forms.CharField(max_length=64, required=False)
    code = forms.CharField(max_length=64, required=False)

    @property
    def selection(self) -> Selection:
        """The valid form as a selection; what was left empty narrows nothing."""
        return Selection(**{name: self.cleaned_data[name] or None for name in ("workflow", "node", "code")})


class PaceForm(forms.Form):
    """On which version to redrive, and how fast."""

    version = forms.ChoiceField(choices=VERSIONS, initial=WhichVersion.PINNED.value)
    per_second = forms.IntegerField(
        min_value=1,
        max_value=MOST_PER_SECOND,
        initial=PER_SECOND,
        help_text="how many go on in each second, so that no provider is flooded",
    )


def offered(words: str, *, icon: str, is_grave: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a button of a method that shows a page of its own; whoever may not operate gets 403."""

    def decorate(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(page)
        def view(model_admin: Any, request: HttpRequest, **of: str) -> HttpResponse:
            if not model_admin.has_operate_permission(request):
                raise PermissionDenied
            return page(model_admin, request, **of)

        # What unfold reads of whatever it draws a button for.
        view.__dict__.update(
            short_description=words,
            allowed_permissions=("operate",),
            url_path=page.__name__.replace("_", "-"),
            attrs={},
            icon=icon,
            variant=ActionVariant.DANGER if is_grave else ActionVariant.DEFAULT,
        )
        return view

    return decorate


def deed_page(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    question: Question,
    form: forms.Form | None,
    *,
    back_to: str = "",
    fields: Sequence[tuple[str, str]] = (),
    subjects: Sequence[str] = (),
    narrowed_by: forms.Form | None = None,
) -> TemplateResponse:
    """Return the page that asks with a form; without one, only what `narrowed_by` looks for can be changed."""
    return TemplateResponse(
        request,
        "admin/execution/dead_letter_deed.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "title": question.title,
            "question": question,
            "form": form,
            "narrowed_by": narrowed_by,
            "back_to": back_to or list_of(DeadLetter),
            "fields": fields,
            "subjects": subjects,
        },
    )


def listed(letters: Sequence[DeadLetter]) -> tuple[str, ...]:
    """Return one line for each dead letter."""
    return tuple(f"{letter.trigger.idempotency_key}: {letter}" for letter in letters)
