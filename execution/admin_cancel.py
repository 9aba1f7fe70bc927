"""The page on which triggers are canceled by filter: which, how many and some of them to see, then the deed."""

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
from execution.admin_letter_forms import deed_page
from execution.admin_trigger_choice import ChoiceForm
from execution.cancel import MOST_AT_ONCE, Canceled, cancel_matching
from triggers.models import Trigger, TriggerQuerySet

MOST_COUNTED = 10_000
# So many of them are shown, the oldest, which are canceled first.
EXAMPLES = 10

NOTHING_SAID = Question(
    title="Which triggers?",
    text="Say at least one of workflow, created after, created before and key; status and priority only narrow that.",
    submit="Look",
)
NONE_FOUND = Question(title="No trigger under way meets this", text="There is nothing to cancel.", submit="Look")


def cancel_by_filter_page(model_admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Show how many triggers under way a filter meets, and cancel them when the page comes back.

    The filter stands in the address while looking and in the body when it is done. What is left over after one call is
    shown by the same page again.
    """
    is_sent = request.method == "POST"
    chosen = ChoiceForm(request.POST if is_sent else request.GET)
    if not chosen.is_choice:
        return _asked(model_admin, request, NOTHING_SAID, chosen)
    if not is_sent:
        return _preview(model_admin, request, chosen)
    done = cancel_matching(chosen.triggers, statuses=chosen.statuses, by=actor_of(request), chosen_by=chosen.told())
    messages.success(request, _outcome(done))
    return HttpResponseRedirect(
        f"{request.path}?{urlencode(chosen.repeated())}" if done.remaining else list_of(Trigger)
    )


def _preview(model_admin: ModelAdmin[Any], request: HttpRequest, chosen: ChoiceForm) -> HttpResponse:
    found = chosen.triggers.filter(status__in=chosen.statuses)
    count = count_up_to(found, MOST_COUNTED + 1)
    if not count:
        return _asked(model_admin, request, NONE_FOUND, chosen)
    how_many = f"more than {MOST_COUNTED:,}" if count > MOST_COUNTED else f"{count:,}"
    question = Question(
        title=f"Cancel {how_many} trigger{'' if count == 1 else 's'}?",
        text="They end now and nothing more of them is sent. What was sent already stays sent. The oldest end first, "
        f"up to {MOST_AT_ONCE:,} at once; whatever meets the filter at that moment is meant. This can't be undone.",
        submit="Cancel them",
        is_grave=True,
    )
    return _asked(model_admin, request, question, chosen, deed=forms.Form(), subjects=_examples(found, count))


def _asked(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    question: Question,
    chosen: ChoiceForm,
    *,
    deed: forms.Form | None = None,
    subjects: tuple[str, ...] = (),
) -> HttpResponse:
    fields = tuple(chosen.repeated().items()) if deed is not None else ()
    return deed_page(
        model_admin,
        request,
        question,
        deed,
        back_to=list_of(Trigger),
        fields=fields,
        subjects=subjects,
        narrowed_by=chosen,
    )


def _examples(found: TriggerQuerySet, count: int) -> tuple[str, ...]:
    """Return a line for each of the oldest, and one that says that there are more."""
    oldest = found.without_bodies().select_related("workflow").order_by("pk")[:EXAMPLES]
    lines = [f"{each.idempotency_key} ({each.status}, {each.workflow.key}, {at(each.created_at)})" for each in oldest]
    return (*lines, "and so on") if count > len(lines) else tuple(lines)


def _outcome(done: Canceled) -> str:
    words = [f"{done.count:,} canceled."]
    if done.in_flight:
        words.append(f"{done.in_flight:,} of their messages were being sent at that moment, or in doubt.")
    if done.remaining:
        words.append(f"{done.remaining:,} are left: do it again for those.")
    return " ".join(words)
