"""The settings of drf-spectacular: what the documentation says of the API as a whole. Imported by the settings."""

from typing import Any

from accounts.roles import Capability
from execution.states import StepStatus
from triggers.states import TriggerStatus, UploadState
from workflows.priorities import LANES

DESCRIPTION = """
A notification workflow engine: nothing lost, nothing sent twice, everything explained.

- **Bodies** are JSON in UTF-8, keys in snake_case. Times are RFC 3339 with an offset, answered in UTC. Ids are UUIDv7.
  A field that a body can't have is refused, and so is a parameter that a list does not know.
- **Errors** have one form: `type`, and `errors` with `code`, `detail` and `attr`. Programs go by status and `code`.
  All that is wrong with a body is told at once.
- **Lists** are pages of `page_size` rows (50, at most 200), newest first; `next` and `previous` are the addresses of
  the neighbours, or null. They neither skip nor repeat rows while others are added.
- **`X-Request-ID`** is in each answer and in each line that the service logs about the request. Send your own
  (letters, digits, `.`, `_`, `-`, at most 64) to find it again.
- A method that an address does not have is answered with 405, an address that does not exist with 404.
""".strip()
TAGS = {
    "Sessions": "Sign in, stay signed in, sign out, and who one is.",
    "Users": "People and machines, each with one role.",
    "API keys": "What service accounts sign in with.",
    "Workflows": "What should happen: graphs of messages and delays, with numbered versions.",
    "Templates": "What is said: Liquid, tried out.",
    "Triggers": "That it was asked for, for one recipient; and how far it has got.",
    "Steps": "What did happen: each attempt to execute a node.",
    "Dead letters": "What failed for good, and what was decided about it.",
    "Audit": "Who did what.",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "NotifyFlow",
    "DESCRIPTION": DESCRIPTION,
    "VERSION": "0.1.0",
    "TAGS": [{"name": name, "description": description} for name, description in TAGS.items()],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "TriggerStatus": [status.value for status in TriggerStatus],
        # In the words of execution.models, which the settings can't import; the schema's check fails when they differ.
        "LetterState": ["open", "redriven", "discarded"],
        "UploadState": [state.value for state in UploadState],
        "StepStatus": [status.value for status in StepStatus],
        "Lane": list(LANES),
        "Capability": [capability.value for capability in Capability],
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "notifyflow.api.schema_links.add_links",
    ],
}
