"""The form in which a manager writes a workflow; what is wrong with it is said at each place, all at once."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.admin_texts import pretty_json
from workflows.definition import FIELDS, parse_definition
from workflows.faults import DefinitionInvalid, Fault
from workflows.keys import KEY, is_workflow_id
from workflows.models import Workflow
from workflows.priorities import Priority
from workflows.services import WorkflowDraft

# What a new workflow begins with: valid, and short enough to be replaced.
FIRST_DEFINITION = {
    "entry_node_id": "mail",
    "nodes": [
        {
            "id": "mail",
            "type": "email",
            "subject": "Hello {{ recipient.name }}",
            "body": "Dear {{ recipient.name }}, ...",
        }
    ],
    "edges": [],
    "strict_variables": False,
}
TAKEN = "This key is taken, perhaps by a deleted workflow."
CHANGED_MEANWHILE = (
    "Somebody else changed this workflow while you were writing: it is at version {version} now. "
    "Nothing was saved, and what you wrote stands below. "
    "Open the page anew in another window and put your change into what it shows."
)


if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Workflow]
else:
    _ModelForm = forms.ModelForm


class DefinitionField(forms.CharField):
    """A definition as JSON text; its value is the parsed object, which may still have faults."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminTextareaWidget(attrs={"rows": 24, "spellcheck": "false", "class": "nf-definition"})
        super().__init__(widget=widget, **kwargs)

    def clean(self, value: Any) -> dict[str, Any]:
        """Return the object. Raises ValidationError with the place where the text is not JSON."""
        return read_definition(super().clean(value))


class WorkflowForm(_ModelForm):
    """Name, key, priority and definition of a workflow; `based_on` is the state of it that was on the page."""

    definition = DefinitionField(
        help_text="entry_node_id, nodes, edges and, if you like, strict_variables; docs/guides/admin.md explains them."
    )
    based_on = forms.CharField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Workflow
        fields: ClassVar = ["name", "key", "priority"]
        help_texts: ClassVar = {
            "key": "What systems call the workflow by, such as order-shipped. Made from the name when left out."
        }
        error_messages: ClassVar = {"key": {"unique": TAKEN}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "key" in self.fields:
            self.fields["key"].required = False
        if "definition" in self.fields:
            self.initial.setdefault("definition", pretty_json(FIRST_DEFINITION))

    def clean_key(self) -> str:
        """Return the key. Raises ValidationError for one that could not stand in an address."""
        key: str = self.cleaned_data["key"]
        if key and (not KEY.fullmatch(key) or is_workflow_id(key)):
            raise ValidationError(
                "A key is made of a-z, 0-9, - and _, starts and ends with a letter or digit, and is not an id."
            )
        return key

    def clean_definition(self) -> dict[str, Any]:
        """Return the definition. Raises ValidationError with every fault at its path."""
        definition: dict[str, Any] = self.cleaned_data["definition"]
        try:
            parse_definition(definition)
        except DefinitionInvalid as error:
            raise ValidationError([in_words(fault) for fault in error.faults]) from None
        return definition

    def clean_based_on(self) -> str:
        """Return the state this is based on; when it is no longer the current one, that is an error of the form."""
        based_on: str = self.cleaned_data["based_on"]
        if based_on != self.initial.get("based_on", ""):
            # Of the whole form, since a hidden field's errors are shown nowhere.
            self.add_error(None, CHANGED_MEANWHILE.format(version=self.instance.version))
        return based_on

    def draft(self) -> WorkflowDraft:
        """Return the valid form as a draft."""
        values = self.cleaned_data
        return WorkflowDraft(
            name=values["name"],
            priority=Priority(values["priority"]),
            definition=values["definition"],
            key=values.get("key", ""),
        )


def in_words(fault: Fault) -> str:
    """Return a fault with its place."""
    return f"{fault.path}: {fault.message}" if fault.path else fault.message


def read_definition(text: str) -> dict[str, Any]:
    """Return the JSON object that `text` is. Raises ValidationError for what is not JSON or can't be stored."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        for string in _strings(value):
            _check_storable(string)
    except json.JSONDecodeError as error:
        raise ValidationError(f"Line {error.lineno}, column {error.colno}: {error.msg}. This is not JSON.") from None
    except ValueError as error:
        raise ValidationError(f"{error}.") from None
    except RecursionError:
        raise ValidationError("This is nested too deep.") from None
    if not isinstance(value, dict):
        raise ValidationError(f"This must be a JSON object with {', '.join(FIELDS)}.")
    return value


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _check_storable(text: str) -> None:
    """Raise ValueError for what PostgreSQL or UTF-8 can't hold."""
    if "\x00" in text:
        raise ValueError("Text can't hold the character NUL (\\u0000)")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("Text can't hold half of a surrogate pair (\\ud800 to \\udfff)")
