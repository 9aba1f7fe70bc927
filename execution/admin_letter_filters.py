"""The pages on which all dead letters of a kind are redriven or discarded: a filter, how many it meets, the deed."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.admin_actions import Question, list_of
from accounts.admin_lists import count_up_to
from accounts.admin_texts import at
from accounts.audit import actor_of
from execution.admin_letter_forms import PaceForm, ReasonForm, SelectionForm, deed_page
from execution.dead_letter_deeds import discard_letters, discardable, redrivable, redrive_letters
from execution.dead_letters import Selection
from execution.models import DeadLetter, DeadLetterQuerySet
from execution.redrive import MOST_AT_ONCE, Redriven, WhichVersion

MOST_COUNTED = 10_000
NOTHING_SAID = Question(title="Which dead letters?", text="Say at least one of workflow, node and code.", submit="Look")


def redrive_by_filter_page(model_admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Show how many open dead letters a filter meets, and redrive them when the page comes back."""
    narrowed_by, wanted = _wanted(request)
    form = PaceForm(request.POST if request.method == "POST" else None)
    if wanted is None:
        return deed_page(model_admin, request, NOTHING_SAID, None, narrowed_by=narrowed_by)
    if not form.is_valid():
        question = Question(
            title=f"Redrive {_how_many(redrivable(wanted))}?",
            text=f"Each goes on from the node that failed, the oldest first, up to {MOST_AT_ONCE:,} at once. What was "
            "sent is not sent again, but a message whose outcome is unknown is: look those up at the provider first.",
            submit="Redrive them",
        )
        return _asked(model_admin, request, question, form, narrowed_by)
    done = redrive_letters(
        wanted,
        per_second=form.cleaned_data["per_second"],
        version=WhichVersion(form.cleaned_data["version"]),
        by=actor_of(request),
    )
    until = f" The last goes on at {at(done.spread_until)}." if done.spread_until else ""
    _tell(request, done, f"{done.count:,} redriven.{until}")
    return HttpResponseRedirect(_back(wanted))


def discard_by_filter_page(model_admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Show how many open dead letters a filter meets, and discard them when the page comes back with a reason."""
    narrowed_by, wanted = _wanted(request)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if wanted is None:
        return deed_page(model_admin, request, NOTHING_SAID, None, narrowed_by=narrowed_by)
    if not form.is_valid():
        question = Question(
            title=f"Discard {_how_many(discardable(wanted))}?",
            text="They are closed and their triggers stay failed: nothing more of them is sent. The reason is kept "
            "with each, with your name. This can't be undone.",
            submit="Discard them",
            is_grave=True,
        )
        return _asked(model_admin, request, question, form, narrowed_by)
    done = discard_letters(wanted, reason=form.cleaned_data["reason"], by=actor_of(request))
    _tell(request, done, f"{done.count:,} discarded.")
    return HttpResponseRedirect(_back(wanted))


def _wanted(request: HttpRequest) -> tuple[SelectionForm, Selection | None]:
    """Return the filter as a form, and what it says: in the address while looking, in the body when it is done."""
    narrowed_by = SelectionForm(request.POST if request.method == "POST" else request.GET)
    if not narrowed_by.is_valid() or narrowed_by.selection.is_empty:
        return narrowed_by, None
    return narrowed_by, narrowed_by.selection


def _asked(
    model_admin: ModelAdmin[Any], request: HttpRequest, question: Question, form: forms.Form, narrowed_by: SelectionForm
) -> HttpResponse:
    fields = tuple(narrowed_by.selection.told().items())
    return deed_page(model_admin, request, question, form, fields=fields, narrowed_by=narrowed_by)


def _how_many(letters: DeadLetterQuerySet) -> str:
    count = count_up_to(letters, MOST_COUNTED + 1)
    return f"more than {MOST_COUNTED:,} dead letters" if count > MOST_COUNTED else f"{count:,} dead letter(s)"


def _tell(request: HttpRequest, done: Redriven, words: str) -> None:
    left = f" {done.remaining:,} are left: do it again for those." if done.remaining else ""
    messages.success(request, f"{words}{left}")
    for code, count in sorted(done.refused.items()):
        messages.warning(request, f"{count:,} left as they were: {code}.")


def _back(wanted: Selection) -> str:
    names = {"workflow": wanted.workflow, "node_id": wanted.node, "code": wanted.code}
    query = urlencode({name: value for name, value in names.items() if value is not None})
    return f"{list_of(DeadLetter)}?{query}"
