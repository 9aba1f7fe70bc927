"""What leads from one call to the next: OpenAPI links, for readers and for tools that walk through the API. Pure."""

from typing import Any

BODY_ID = "$response.body#/id"
OF_A_WORKFLOW = (
    "workflows_retrieve",
    "workflows_update",
    "workflows_partial_update",
    "workflows_activate_create",
    "workflows_deactivate_create",
    "workflows_versions_list",
    "workflows_destroy",
)
OF_A_TRIGGER = (
    "triggers_retrieve",
    "triggers_steps_list",
    "triggers_cancel_create",
    "triggers_redrive_create",
    "triggers_process_create",
)
OF_A_USER = ("users_retrieve", "users_partial_update", "users_keys_list", "users_keys_create")


def by_id(*operations: str, parameter: str = "id") -> dict[str, Any]:
    """Return links to operations that take the id of what was answered."""
    return {name: {"operationId": name, "parameters": {parameter: BODY_ID}} for name in operations}


TRIGGER_IT = {"operationId": "triggers_create", "requestBody": {"workflow": "$response.body#/key"}}
REFRESH = {"refresh": "$response.body#/refresh"}
WORKFLOW_LINKS = {
    **by_id(*OF_A_WORKFLOW),
    "workflows_versions_read": {
        "operationId": "workflows_versions_read",
        "parameters": {"id": BODY_ID, "number": "$response.body#/version"},
    },
}
# By operation and status.
LINKS: dict[tuple[str, str], dict[str, Any]] = {
    ("auth_token_create", "200"): {
        "auth_token_refresh_create": {"operationId": "auth_token_refresh_create", "requestBody": REFRESH},
        "auth_token_revoke_create": {"operationId": "auth_token_revoke_create", "requestBody": REFRESH},
    },
    ("users_create", "201"): by_id(*OF_A_USER),
    ("workflows_create", "201"): WORKFLOW_LINKS,
    ("workflows_update", "200"): WORKFLOW_LINKS,
    ("workflows_activate_create", "200"): {**by_id("workflows_deactivate_create"), "triggers_create": TRIGGER_IT},
    ("triggers_create", "202"): by_id(*OF_A_TRIGGER),
    ("triggers_create", "200"): by_id(*OF_A_TRIGGER),
    ("triggers_cancel_create", "200"): by_id("triggers_retrieve", "triggers_steps_list"),
}


def add_links(result: dict[str, Any], generator: Any, request: Any, public: Any) -> dict[str, Any]:
    """Write the links into the document, as one of drf-spectacular's hooks; those to operations that it has."""
    operations = {
        operation["operationId"]: (path, operation)
        for path, item in result["paths"].items()
        for operation in item.values()
        if "operationId" in operation
    }
    for (name, status), links in LINKS.items():
        _, operation = operations.get(name, ("", {"responses": {}}))
        if status in operation["responses"]:
            known = {link: target for link, target in links.items() if target["operationId"] in operations}
            operation["responses"][status]["links"] = {
                link: _with_path_parameters(target, operations[target["operationId"]][0])
                for link, target in known.items()
            }
    return result


def _with_path_parameters(link: dict[str, Any], path: str) -> dict[str, Any]:
    """Name the parameter as the target's path does: of the one object that the link is about."""
    parameters = link.get("parameters", {})
    if len(parameters) != 1 or "{id}" in path:
        return link
    name = path.split("{", 1)[1].split("}", 1)[0]
    return {**link, "parameters": {name: parameters["id"]}}
