"""From one node's JSON to a typed node, or to its faults. Pure."""

import re
from datetime import timedelta
from typing import TypeGuard

from templates.rendering import Template, TemplateSyntaxError, compile_template
from workflows.durations import DurationInvalid, checked_delay, parse_duration
from workflows.faults import Faults, join
from workflows.node_types import DELAY, MessageType, TemplateField, known_names, message_type
from workflows.nodes import DelayNode, MessageNode, Node, OnDoubt, RetryPolicy

NODE_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
MOST_ATTEMPTS = 20
LONGEST_INTERVAL_S = 7 * 24 * 3600
LARGEST_FACTOR = 100


def parse_node(item: dict[str, object], path: str, faults: Faults) -> Node | None:
    """Return the node, or None when faults keep it from being built; each fault is noted."""
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
        node = _parse_message(item, node_id, kind, path, faults)
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


def _parse_message(item: dict[str, object], node_id: str, kind: MessageType, path: str, faults: Faults) -> Node:
    names = {field.name for field in kind.fields}
    faults.unknown_fields(item, path, {"id", "type", "retry", "on_doubt"} | names)
    templates = {
        field.name: template
        for field in kind.fields
        if (template := _parse_template(item, field, path, faults)) is not None
    }
    for choice in kind.required_any:
        if not choice & item.keys():
            faults.add(path, "required", f"At least one of these fields is required: {', '.join(sorted(choice))}.")
    on_doubt = faults.typed(item, path, "on_doubt", str, default=OnDoubt.RESEND.value)
    if on_doubt not in list(OnDoubt):
        faults.add(join(path, "on_doubt"), "invalid_choice", f"This must be one of: {', '.join(OnDoubt)}.")
        on_doubt = OnDoubt.RESEND.value
    retry = _parse_retry(item, path, faults)
    return MessageNode(node_id, kind.name, templates, retry, OnDoubt(on_doubt))


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


def _parse_retry(item: dict[str, object], path: str, faults: Faults) -> RetryPolicy:
    standard = RetryPolicy()
    raw = faults.typed(item, path, "retry", dict, default={})
    path = join(path, "retry")
    faults.unknown_fields(raw, path, {"max_attempts", "backoff", "intervals_s"})
    attempts = faults.typed(raw, path, "max_attempts", int, default=standard.max_attempts)
    if not 1 <= attempts <= MOST_ATTEMPTS:
        faults.add(join(path, "max_attempts"), "out_of_range", f"This must be from 1 to {MOST_ATTEMPTS}.")
    if "backoff" in raw and "intervals_s" in raw:
        faults.add(path, "invalid_retry", "A retry policy has either `backoff` or `intervals_s`, not both.")
    intervals = faults.typed(raw, path, "intervals_s", list, default=[])
    if raw.get("intervals_s") == []:
        faults.add(join(path, "intervals_s"), "empty", "Name at least one interval.")
    for index, seconds in enumerate(intervals):
        _check_seconds(seconds, join(path, "intervals_s", index), faults)
    backoff = faults.typed(raw, path, "backoff", dict, default={})
    path = join(path, "backoff")
    faults.unknown_fields(backoff, path, {"base_s", "factor", "cap_s"})
    for name in ("base_s", "cap_s"):
        if name in backoff:
            _check_seconds(backoff[name], join(path, name), faults)
    factor = backoff.get("factor", standard.factor)
    if not _is_number(factor) or not 1 <= factor <= LARGEST_FACTOR:
        faults.add(join(path, "factor"), "out_of_range", f"This must be a number from 1 to {LARGEST_FACTOR}.")
    if faults.found:
        return standard
    return RetryPolicy(
        max_attempts=attempts,
        base=timedelta(seconds=backoff.get("base_s", standard.base.total_seconds())),
        factor=float(factor),
        cap=timedelta(seconds=backoff.get("cap_s", standard.cap.total_seconds())),
        intervals=tuple(timedelta(seconds=seconds) for seconds in intervals),
    )


def _check_seconds(value: object, path: str, faults: Faults) -> None:
    if not _is_number(value) or not 0 <= value <= LONGEST_INTERVAL_S:
        faults.add(path, "out_of_range", f"This must be a number of seconds from 0 to {LONGEST_INTERVAL_S}.")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
