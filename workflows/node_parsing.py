"""From one node's JSON to a typed node, or to its faults. Pure."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from templates.rendering import Template, TemplateSyntaxError, compile_template
from workflows.durations import LONGEST_DELAY, DurationInvalid, checked_delay, parse_duration
from workflows.faults import Faults, join
from workflows.node_types import DELAY, MessageType, TemplateField, known_names, message_type
from workflows.nodes import DelayNode, MessageNode, Node, OnDoubt, OnFailure, RetryPolicy
from workflows.retry_policies import is_number, parse_retry

NODE_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
LONGEST_TTL_S = int(LONGEST_DELAY.total_seconds())
Choice = TypeVar("Choice", bound=StrEnum)


def parse_node(item: dict[str, object], path: str, faults: Faults, *, retry: RetryPolicy) -> Node | None:
    """Return the node, or None when faults keep it from being built; each fault is noted.

    `retry` is the policy of a message node that names none.
    """
    before = len(faults.found)
    for name in ("id", "type"):
        if name not in item:
            faults.add(join(path, name), "required", "This field is required.")
    node_id = faults.typed(item, path, "id", str, default="")
    if isinstance(item.get("id"), str) and not NODE_ID.fullmatch(node_id):
        faults.add(
            join(path, "id"),
            "invalid_id",
            "A node id is a letter, then up to 63 letters, digits, `_` or `-`.",
        )
    type_name = faults.typed(item, path, "type", str, default="")
    kind = message_type(type_name)
    node: Node | None = None
    if type_name == DELAY:
        node = _parse_delay(item, node_id, path, faults)
    elif kind is not None:
        node = _parse_message(item, kind, path, faults, retry=retry)
    elif isinstance(item.get("type"), str):
        faults.add(join(path, "type"), "unknown_type", f"Known node types are: {', '.join(known_names())}.")
    return node if len(faults.found) == before else None


def _parse_delay(item: dict[str, object], node_id: str, path: str, faults: Faults) -> Node:
    faults.unknown_fields(item, path, {"id", "type", "delay_ms", "duration"})
    delay = timedelta(0)
    if ("delay_ms" in item) == ("duration" in item):
        faults.add(path, "invalid_delay", "A delay has exactly one of `delay_ms` and `duration`.")
        return DelayNode(node_id, delay)
    try:
        if "duration" in item:
            text = faults.typed(item, path, "duration", str, default="PT0S")
            delay = parse_duration(text)
        else:
            # The bound keeps timedelta from overflowing before checked_delay can refuse it in words.
            delay = checked_delay(
                timedelta(milliseconds=min(faults.typed(item, path, "delay_ms", int, default=0), 10**15))
            )
    except DurationInvalid as error:
        faults.add(join(path, "duration" if "duration" in item else "delay_ms"), "invalid_delay", str(error))
    except OverflowError:
        faults.add(join(path, "delay_ms"), "invalid_delay", "A delay can't be negative.")
    return DelayNode(node_id, delay)


def _parse_message(
    item: dict[str, object], kind: MessageType, path: str, faults: Faults, *, retry: RetryPolicy
) -> Node:
    names = {field.name for field in kind.fields}
    faults.unknown_fields(item, path, {"id", "type", "retry", "on_doubt", "on_failure", "ttl_s"} | names)
    templates = {
        field.name: template
        for field in kind.fields
        if (template := _parse_template(item, field, path, faults)) is not None
    }
    for choice in kind.required_any:
        if not choice & item.keys():
            faults.add(path, "required", f"At least one of these fields is required: {', '.join(sorted(choice))}.")
    on_doubt = _parse_choice(item, "on_doubt", path, faults, default=OnDoubt.RESEND)
    on_failure = _parse_choice(item, "on_failure", path, faults, default=OnFailure.FAIL)
    ttl = _parse_ttl(item, path, faults)
    retry = parse_retry(item, path, faults, default=retry)
    return MessageNode(str(item.get("id")), kind.name, templates, retry, on_doubt, on_failure, ttl)


def _parse_choice(item: dict[str, object], name: str, path: str, faults: Faults, *, default: Choice) -> Choice:
    choices = type(default)
    said = faults.typed(item, path, name, str, default=default.value)
    if said not in list(choices):
        faults.add(join(path, name), "invalid_choice", f"This must be one of: {', '.join(choices)}.")
        return default
    return choices(said)


def _parse_ttl(item: dict[str, object], path: str, faults: Faults) -> timedelta | None:
    if "ttl_s" not in item:
        return None
    seconds = item["ttl_s"]
    if not is_number(seconds) or not 1 <= seconds <= LONGEST_TTL_S:
        faults.add(join(path, "ttl_s"), "out_of_range", f"This must be a number of seconds from 1 to {LONGEST_TTL_S}.")
        return None
    return timedelta(seconds=seconds)


def _parse_template(item: dict[str, object], field: TemplateField, path: str, faults: Faults) -> Template | None:
    if field.name not in item:
        if field.default is None:
            if field.is_required:
                faults.add(join(path, field.name), "required", "This field is required.")
            return None
        return compile_template(field.default, is_html=field.is_html)
    source = item[field.name]
    if not isinstance(source, str):
        faults.add(join(path, field.name), "invalid_type", "This must be a string.")
        return None
    try:
        return compile_template(source, is_html=field.is_html)
    except TemplateSyntaxError as error:
        where = f"Line {error.line}: " if error.line is not None else ""
        faults.add(join(path, field.name), "liquid_syntax", f"{where}{error.message}")
        return None
