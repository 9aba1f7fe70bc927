"""How refusals are documented: one error form, what each status means, what an error of each code looks like. Pure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

JSON = "application/json"


class Sample(NamedTuple):
    """One error, as an example shows it."""

    detail: str
    attr: str | None = None


MEANINGS = {
    "400": "The request is not understood: its body is no JSON, or its values are refused, each with the reason.",
    "401": "There is no valid access token or API key.",
    "403": "The caller's role, or the API key's scopes, don't grant this.",
    "404": "There is no such object, or the cursor is not one of this API's.",
    "406": "`Accept` leaves out `application/json`, the only form of answers.",
    "413": "The body is larger than the API reads.",
    "415": "`Content-Type` is another than `application/json`, the only form of bodies.",
    "429": "The caller asks too often; `Retry-After` says when to ask again.",
    "503": "The database is away: whether a change was made is not known. Ask for the same again after `Retry-After`.",
}
# What every call with this status may say, beside what its own description names in backticks.
COMMON_CODES: dict[str, tuple[str, ...]] = {
    "401": ("not_authenticated", "token_not_valid"),
    "403": ("permission_denied",),
    "404": ("not_found",),
    "406": ("not_acceptable",),
    "413": ("body_too_large",),
    "415": ("unsupported_media_type",),
    "429": ("throttled",),
    "503": ("database_unavailable",),
}
SAMPLES = {
    "parse_error": Sample("The body is not JSON: Expecting value: line 1 column 1 (char 0)"),
    "required": Sample("This field is required.", "name"),
    "unknown_field": Sample("There is no such field.", "nmae"),
    "unknown_parameter": Sample(
        "There is no such parameter here; known are: cursor, format, page_size, status.", "statsu"
    ),
    "out_of_range": Sample("This must be a whole number from 1 to 200.", "page_size"),
    "not_authenticated": Sample("Authentication credentials were not provided."),
    "token_not_valid": Sample("Token is expired."),
    "permission_denied": Sample("You do not have permission to perform this action."),
    "not_found": Sample("Not found."),
    "not_acceptable": Sample("Could not satisfy the request Accept header."),
    "body_too_large": Sample("The body is larger than 2097152 bytes."),
    "unsupported_media_type": Sample('Unsupported media type "text/plain" in request.'),
    "throttled": Sample("Request was throttled. Expected available in 17 seconds."),
    "unknown_workflow": Sample("There is no such workflow."),
    "workflow_inactive": Sample("The workflow is not active."),
    "context_too_large": Sample("The context is larger than 262144 bytes."),
    "body_cut": Sample("The body ended before its end; what came until then is stored."),
    "active_triggers_exist": Sample("3 trigger(s) of this workflow are under way."),
    "already_finished": Sample("The trigger is completed; there is nothing left to cancel."),
    "not_failed": Sample("The trigger is completed; only a failed one can be redriven."),
    "not_open": Sample("The dead letter is redriven already."),
    "workflow_deleted": Sample("The workflow order-shipped was deleted; nothing of it is sent any more."),
    "node_gone": Sample("The newest version has no node mail, which this run has reached."),
    "version_incompatible": Sample("Other edges lead to node text in the newest version."),
    "last_system_admin": Sample("This is the last active systemAdmin; make another one first."),
    "own_role": Sample("Nobody raises their own role; ask another systemAdmin."),
    "precondition_failed": Sample("This workflow is not, or no longer, what If-Match demands; nothing was changed."),
    "malformed_tags": Sample('If-Match is `*` or a list of ETags in their quotes, such as "4-6441e9".', "if_match"),
    "held": Sample("The trigger is in process by another worker."),
    "not_due": Sample("The trigger is not due before 2026-03-06T08:00:00Z."),
    "busy": Sample("As many nodes are run on request as may be at once; ask again in a moment."),
    "interrupted": Sample("The database went away during the run; the trigger is taken up again when its lease ends."),
    "database_unavailable": Sample("The database is not available at this moment. Try the same again shortly."),
    "not_a_service": Sample("Only a service account has API keys; this user signs in with a password."),
    "second_factor_required": Sample("This user has a second factor: give its code as `otp` beside the password."),
    "second_factor_wrong": Sample("The code is wrong, or was used before."),
    "locked_out": Sample("Too many failed attempts to sign in. Try again in 15 minutes."),
    "no_active_account": Sample("No active account found with the given credentials."),
    "unknown_type": Sample("Known node types are: email, sms, delay.", "nodes.0.type"),
    "liquid_syntax": Sample("Line 1: expected a filter name", "source"),
    "definition_invalid": Sample("There is no node with this id.", "entry_node_id"),
}


def error_form(kinds: Iterable[str]) -> dict[str, Any]:
    """Return the schema of an error body whose `type` is one of `kinds`."""
    error = {
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "A stable word for programs."},
            "detail": {"type": "string", "description": "A sentence for people; its wording may change."},
            "attr": {
                "type": "string",
                "nullable": True,
                "description": "Where in the body or query, as a path such as `nodes.2.delay_ms`; null for the whole.",
            },
        },
        "required": ["attr", "code", "detail"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": list(kinds)},
            "errors": {"type": "array", "items": error, "minItems": 1},
        },
        "required": ["errors", "type"],
        "additionalProperties": False,
    }


FORMS = {
    "RequestErrors": error_form(["client_error", "validation_error"]),
    "ClientErrors": error_form(["client_error"]),
    "ServerErrors": error_form(["server_error"]),
}


def form_of(status: str) -> str:
    """Return the name of the form that an answer with this status has."""
    if status == "400":
        return "RequestErrors"
    return "ClientErrors" if status < "500" else "ServerErrors"


def examples_of(status: str, codes: Iterable[str]) -> dict[str, Any]:
    """Return one example for each code. Raises KeyError for a code without a sample."""
    kind = "server_error" if status >= "500" else "client_error"
    examples = {}
    for code in codes:
        sample = SAMPLES[code]
        type_ = "validation_error" if status == "400" and sample.attr is not None else kind
        error = {"code": code, "detail": sample.detail, "attr": sample.attr}
        examples[code] = {"value": {"type": type_, "errors": [error]}}
    return examples
