"""`manage.py permissions`: the documentation page of who may do what, read from what decides it.

The table of roles comes from `accounts.roles`; the API from the URL conf, the views and what each of them asks for; the
admin from its registered pages, each asked what it lets a user of each role do.
"""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.contrib import admin
from django.core.management.base import BaseCommand, CommandError
from django.http import HttpRequest, QueryDict
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny
from rest_framework.schemas.generators import EndpointEnumerator
from rest_framework.views import APIView

from accounts.admin_base import ConsoleAdmin
from accounts.models import User
from accounts.permissions import HasCapability, IsSignedIn, needed_capability
from accounts.roles import IN_THE_ADMIN, MATRIX, Capability, Role, may_enter_admin

API = "/api/"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
HEAD = """\
# Who may do what

Written by `manage.py permissions --write docs/guides/permissions.md`; `make check` compares. Change the table in
`accounts/roles.py`, what a view asks for (`capability`), or what opens an admin page (`readable_with`,
`writable_with`), then write this page again.

A user has exactly one role. A role grants capabilities, and nothing else does: not `is_superuser`, not Django's own
permissions. An API key can be narrowed to some of its role's capabilities by scopes, never widened. Whoever isn't
signed in, or is inactive, gets 401; whoever lacks the capability gets 403, and nothing is changed.
"""


class Command(BaseCommand):
    """Prints, writes or compares the page."""

    help = "Print the page that says who may do what, as Markdown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a file to write the page to, or one to compare it with."""
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--write", type=Path, metavar="FILE", help="write the page to this file")
        what.add_argument("--check", type=Path, metavar="FILE", help="fail when this file says anything else")

    def handle(self, *, write: Path | None = None, check: Path | None = None, **_: Any) -> None:
        """Print, write or compare. Raises CommandError when the file differs."""
        page = page_text()
        if write:
            write.write_text(page, encoding="utf-8")
        elif check:
            if not check.is_file() or check.read_text(encoding="utf-8") != page:
                raise CommandError(
                    f"{check} is not what the code says; write it with: manage.py permissions --write {check}"
                )
        else:
            self.stdout.write(page, ending="")


def page_text() -> str:
    """Return the whole page."""
    return "\n".join(
        [
            HEAD,
            "## Roles\n",
            *_table(["capability", *Role], ([f"`{each}`", *_grants(each)] for each in Capability)),
            "## The API\n",
            "`HEAD` is open to whom `GET` is, `OPTIONS` to whoever may call one of a route's methods.\n",
            *_table(["method", "route", "needs", *Role], _api_rows()),
            "## The admin\n",
            f"Whoever has one of these may enter it, a service account never:\n{_words(IN_THE_ADMIN)}.\n",
            *_table(["page", *Role], _admin_rows()),
        ]
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    columns = list(head)
    yield _line(columns)
    yield _line(["---"] * len(columns), "|")
    yield from (_line(row) for row in rows)
    yield ""


def _line(cells: Iterable[str], between: str = " | ") -> str:
    edge = between.strip()
    pad = " " if between != "|" else ""
    return f"{edge}{pad}{between.join(cells)}{pad}{edge}"


def _words(capabilities: Iterable[Capability]) -> str:
    return ", ".join(f"`{each}`" for each in sorted(capabilities))


def _grants(capability: Capability) -> list[str]:
    return ["yes" if capability in MATRIX[role] else "no" for role in Role]


# --- the API ---


def _api_rows() -> Iterator[list[str]]:
    for route, callback in sorted(api_routes(), key=lambda found: found[0]):
        for method, view in _calls(callback):
            yield [method, f"`{route}`", *_needs(view, method)]


def api_routes() -> Iterator[tuple[str, Any]]:
    """Give the path and the view function of every route under /api/."""
    yield from (found for found in _routes(get_resolver().url_patterns) if found[0].startswith(API))


def _routes(patterns: Iterable[URLPattern | URLResolver], above: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = above + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield EndpointEnumerator().get_path_from_regex(path), pattern.callback
        else:
            yield from _routes(pattern.url_patterns, path)


def _calls(callback: Any) -> Iterator[tuple[str, APIView]]:
    """Give each method of a view function, with the view as it stands when that method is called."""
    if not issubclass(getattr(callback, "cls", type), APIView):
        raise CommandError(f"{callback!r} is no API view, so that nothing says who may call it.")
    actions: dict[str, str] | None = getattr(callback, "actions", None)
    for method in METHODS:
        view = callback.cls(**callback.initkwargs)
        if actions is not None:
            view.action = actions.get(method.lower())
        answers = method.lower() in actions if actions is not None else hasattr(view, method.lower())
        if answers and method.lower() in view.http_method_names:
            yield method, view


def _needs(view: APIView, method: str) -> list[str]:
    """Return what a call needs, and who has it, role by role."""
    classes: list[Any] = list(view.permission_classes)
    if any(issubclass(each, HasCapability) for each in classes):
        needed = needed_capability(view, method)
        return [f"`{needed}`", *_grants(needed)] if needed else ["nobody may", *["no" for _ in Role]]
    if any(issubclass(each, IsSignedIn) for each in classes):
        return ["a user", *["yes" for _ in Role]]
    if all(issubclass(each, AllowAny) for each in classes):
        return ["nothing", *["yes" for _ in Role]]
    raise CommandError(f"Nothing here knows whom {classes} lets in, at {type(view).__name__}.")


# --- the admin ---


def _admin_rows() -> Iterator[list[str]]:
    entering = [may_enter_admin(MATRIX[role]) for role in Role]
    yield ["overview, own password", *["yes" if each else "no" for each in entering]]
    pages = sorted(admin.site._registry.values(), key=lambda page: str(page.opts.label))  # noqa: SLF001  # no public name
    for page in pages:
        yield [
            f"{page.opts.app_label}: {page.opts.verbose_name_plural}",
            *[", ".join(_deeds(page, role)) or "no" for role in Role],
        ]


def _deeds(page: Any, role: Role) -> list[str]:
    """Return what a model's pages let a user of a role do. Raises CommandError for pages that ask another table."""
    if not isinstance(page, ConsoleAdmin):
        raise CommandError(
            f"The pages of {page.opts.label} don't ask the matrix; unregister them, or use ConsoleAdmin."
        )
    request = HttpRequest()
    request.method, request.GET, request.user = "GET", QueryDict(), User(role=role)
    if not may_enter_admin(request.user.capabilities):
        return []
    checks = {
        "look": page.has_view_permission(request),
        "add": page.has_add_permission(request),
        "change": page.has_change_permission(request),
        "delete": page.has_delete_permission(request),
    }
    deeds = [name for name, is_granted in checks.items() if is_granted]
    # What is done to one is mostly done to a selection as well: said once.
    buttons = [name.replace("_", " ") for name in _buttons(page, request)]
    chosen = [name.replace("_", " ") for name in page.get_actions(request)]
    return [*deeds, *buttons, *(name for name in chosen if name.removesuffix(" selected") not in buttons)]


def _buttons(page: Any, request: HttpRequest) -> Iterator[str]:
    """Give the names of the methods behind unfold's buttons that a request may use."""
    for place in ("actions_list", "actions_row", "actions_detail", "actions_submit_line"):
        for name in getattr(page, place, ()):
            needed = getattr(getattr(page, name), "allowed_permissions", ())
            if all(getattr(page, f"has_{each}_permission")(request) for each in needed):
                yield name
