"""How the API is documented: everything that the views themselves say is derived here, so that it can't drift.

The error form is in `refusals`, examples in `examples`, nodes in `definition_schema`, links in `schema_links`.
"""

import re
from copy import deepcopy
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema
from drf_spectacular.plumbing import ResolvedComponent, get_doc
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from accounts.permissions import HasCapability, needed_capability
from accounts.roles import MATRIX
from notifyflow.api import definition_schema, examples, refusals

TAGS = {
    "auth": "Sessions",
    "me": "Sessions",
    "users": "Users",
    "keys": "API keys",
    "workflows": "Workflows",
    "templates": "Templates",
    "triggers": "Triggers",
    "steps": "Steps",
    "dead-letters": "Dead letters",
    "audit": "Audit",
}
# Of parameters that their views say nothing about; the same name means the same everywhere.
PARAMETERS = {
    "id": "The id of what the call is about.",
    "user_id": "The user's id.",
    "number": "Which version; the first is 1.",
    "workflow": "Of this workflow, by its id or key.",
    "key": "With this key.",
    "is_active": "Those that are active, or those that are not.",
    "username": "With this name.",
    "role": "With this role.",
    "is_service": "Service accounts, or people.",
    "idempotency_key": "With this idempotency key; of whichever workflow.",
    "node_type": "Of nodes of this type.",
    "node": "Failed at this node.",
    "code": "Failed with this error.",
    "state": "Those that wait for a person, or those that were decided about.",
    "failed_after": "Failed for good at this moment or later.",
    "failed_before": "Failed for good before this moment.",
    "status": "With this status.",
    "created_after": "Made at this moment or later.",
    "created_before": "Made before this moment.",
    "at_after": "Done at this moment or later.",
    "at_before": "Done before this moment.",
    "actor": "Done by this user, by id or name.",
    "action": "Deeds of this kind.",
    "object_type": "Done to objects of this kind.",
    "object_id": "Done to this object.",
    "request_id": "Done by the request with this `X-Request-ID`.",
    "via": "Done this way.",
}
# Of actions whose code is DRF's, with the words that the model has for its rows.
ACTIONS = {"list": "List {many}", "create": "Create {one}", "retrieve": "Show {one}", "partial_update": "Change {one}"}
CODE = re.compile(r"`([a-z_]+)`")
NUMBER = {"type": "integer", "minimum": 0}
REQUEST_ID = {
    "description": "The request's id: the caller's own when it is a sane one, else a new one.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}

# Of everyone who is signed in, as long as the cache that counts is there.
RATE = {
    "RateLimit-Limit": {"description": "Requests a minute that the caller may make.", "schema": NUMBER},
    "RateLimit-Remaining": {"description": "How many of them are left.", "schema": NUMBER},
    "RateLimit-Reset": {"description": "Seconds until the count begins anew.", "schema": NUMBER},
}


class AutoSchema(SpectacularAutoSchema):
    """Documents an operation with its tag, its callers, every refusal it can answer with, headers and examples.

    A view says `409: OpenApiResponse(description="`code`: ...")`; the form of the body is the same for all of them.
    """

    def get_tags(self) -> list[str]:
        """Return the tag: of the last word of the path that has one."""
        words = self._tokenize_path()
        tags = [TAGS[word] for word in words if word in TAGS]
        return tags[-1:] or [words[0].title()]

    def get_summary(self) -> str:
        """Return one line: the first sentence of the action's docstring, or what DRF's own action does."""
        return _first_sentence(self._doc())

    def get_description(self) -> str:  # type: ignore[override]  # spectacular asks without what DRF gives along
        """Return the docstring, and who may call."""
        return f"{self._doc()}\n\n{self._callers()}"

    def get_extensions(self) -> dict[str, Any]:
        """Return the capability and the roles for programs."""
        capability = self._capability()
        if capability is None:
            return {}
        return {"x-capability": capability.value, "x-roles": _roles(capability)}

    def _doc(self) -> str:
        action = getattr(self.view, "action", None) or self.method.lower()
        doc: str = get_doc(getattr(self.view, action, None))
        about: str = get_doc(self.view.__class__)
        if doc or action not in ACTIONS or not hasattr(self.view, "action"):
            return doc or about
        viewset: Any = self.view
        model = viewset.queryset.model._meta
        one = f"{'an' if model.verbose_name[0] in 'aeio' else 'a'} {model.verbose_name}"
        return f"{ACTIONS[action].format(one=one, many=model.verbose_name_plural)}.\n\n{about}"

    def _capability(self) -> Any:
        if any(isinstance(permission, HasCapability) for permission in self.view.get_permissions()):
            return needed_capability(self.view, self.method)
        return None

    def _callers(self) -> str:
        capability = self._capability()
        if capability is not None:
            roles = ", ".join(f"`{role}`" for role in _roles(capability))
            return f"Needs the capability `{capability}`. Roles that have it: {roles}."
        return "Anyone signed in may call this." if self.view.get_authenticators() else "Needs no token."

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        responses = super()._get_response_bodies(direction)
        for status in self._refusals():
            if status not in responses:
                responses[status] = self._refusal(status, refusals.MEANINGS[status], direction)
        return dict(sorted(responses.items()))

    def _refusals(self) -> list[str]:
        """Return the statuses that follow from what the view is made of; its own are in its `extend_schema`."""
        has_body = bool(self._get_request_body())  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
        is_list = self._is_list_view()
        has_path = any(parameter["in"] == "path" for parameter in self._get_parameters())
        found = {
            "400": has_body or is_list,
            "401": bool(self.view.get_authenticate_header(self.view.request)),
            "403": self._capability() is not None,
            "404": has_path or is_list,
            "406": True,
            "413": has_body,
            "415": has_body,
            "429": bool(self.view.get_throttles()),
            "503": True,
        }
        return [status for status, may_be in found.items() if may_be]

    def _get_response_for_code(
        self, serializer: Any, status_code: str, media_types: Any = None, direction: Any = "response"
    ) -> Any:
        if isinstance(serializer, OpenApiResponse) and serializer.response is None and status_code >= "400":
            return self._refusal(status_code, str(serializer.description), direction)
        answer = super()._get_response_for_code(serializer, status_code, media_types, direction)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
        answer["description"] = answer["description"] or ("Done." if status_code == "204" else "As asked for.")
        return answer

    def _refusal(self, status: str, description: str, direction: Any) -> dict[str, Any]:
        name = refusals.form_of(status)
        schema = deepcopy(refusals.FORMS[name])
        form = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
        self.registry.register_on_missing(form)
        own = [code for code in CODE.findall(description) if code in refusals.SAMPLES]
        codes = dict.fromkeys([*own, *self._common_codes(status)])
        return {
            "headers": self._get_response_headers_for_code(status, direction),
            "content": {refusals.JSON: {"schema": form.ref, "examples": refusals.examples_of(status, codes)}},
            "description": description,
        }

    def _common_codes(self, status: str) -> tuple[str, ...]:
        if status == "401" and not self.view.get_authenticators():
            return ()
        if status != "400":
            return refusals.COMMON_CODES.get(status, ())
        if self._is_list_view():
            return ("unknown_parameter", "out_of_range")
        has_body = bool(self._get_request_body())  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
        return ("parse_error", "required", "unknown_field") if has_body else ()

    def _get_examples(
        self, serializer: Any, direction: Any, media_type: Any, status_code: Any = None, extras: Any = None
    ) -> Any:
        if media_type == examples.NDJSON:
            return {"lines": {"summary": "two lines", "value": examples.LINES}}
        found = examples.of(self.get_operation_id(), None if direction == "request" else status_code)
        if found:
            return found
        return super()._get_examples(serializer, direction, media_type, status_code, extras)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated

    def _get_response_headers_for_code(self, status_code: str, direction: Any = "response") -> dict[str, Any]:
        headers: dict[str, Any] = super()._get_response_headers_for_code(status_code, direction)
        headers["X-Request-ID"] = REQUEST_ID
        if status_code == "401":
            scheme = {"type": "string", "example": 'Bearer realm="api"'}
            headers["WWW-Authenticate"] = {"description": "How to sign in.", "required": True, "schema": scheme}
        if status_code != "401" and self.view.get_authenticators():
            headers |= RATE
        if status_code in {"429", "503"}:
            # `interrupted`, a 503 too, can't tell how long.
            is_sure = status_code == "429"
            headers["Retry-After"] = {"description": "Seconds to wait.", "required": is_sure, "schema": NUMBER}
        return dict(sorted(headers.items()))

    def _get_parameters(self) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._get_parameters()
        for parameter in parameters:
            own = parameter.get("description", "")
            # What spectacular writes of an id says nothing, and of a choice repeats it.
            if not own or own.startswith(("A UUID string", "*")):
                parameter["description"] = PARAMETERS.get(parameter["name"], "")
        return parameters

    def _get_filter_parameters(self) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._get_filter_parameters()  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
        for parameter in parameters:
            if parameter["schema"].keys() == {"type"} and parameter["schema"]["type"] == "string":
                # notifyflow.api.filters refuses a parameter without a value.
                parameter["schema"]["minLength"] = 1
        return parameters

    def _insert_field_validators(self, field: Any, schema: Any) -> None:
        super()._insert_field_validators(field, schema)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
        if isinstance(field, serializers.EmailField) and "oneOf" in schema:
            # To whoever does not check formats, an empty text would be both of the two.
            schema["anyOf"] = schema.pop("oneOf")

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
        if direction == "response":
            # Answers leave nothing out, whatever a body may leave out.
            schema["required"] = sorted(schema["properties"].keys() - getattr(serializer, "SOMETIMES", frozenset()))
        else:
            for name in sorted(getattr(serializer, "READ_ONLY", ())):
                schema["properties"][name] = {"description": "Shown, not taken: ignored here."}
            # Whatever a body may not hold is refused, everywhere (accounts.api_fields).
            schema["additionalProperties"] = False
        return schema


def _roles(capability: Any) -> list[str]:
    return [role.value for role, granted in MATRIX.items() if capability in granted]


def _first_sentence(doc: str) -> str:
    line = doc.split("\n\n", 1)[0].replace("\n", " ")
    return re.split(r"\.(?:\s|$)", line, maxsplit=1)[0]


# drf-spectacular knows an extension once its class is there.
NODES = definition_schema.NodeExtension


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # spectacular registers subclasses by an untyped hook
    """A bearer is an access token or an API key; either will do."""

    target_class = "accounts.authentication.BearerAuthentication"
    name = ["jwt", "apiKey"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """Return the two ways to sign in."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """Return what each is."""
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "An access token of `POST auth/token/`, for people: it holds for 15 minutes.",
            },
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "nf_...",
                "description": "An API key of a service account, for machines: it begins with `nf_`, is told once, "
                "and holds until it expires or is revoked.",
            },
        ]
