"""A workflow's key: the name that clients use, such as `order-shipped`."""

import re
from uuid import UUID

from django.utils.text import slugify

KEY = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,98}[a-z0-9])?")


def is_workflow_id(name: str) -> bool:
    """Say whether `name` is written as an id rather than a key."""
    try:
        UUID(name)
    except ValueError:
        return False
    return True


def key_from(name: str) -> str:
    """Make a key from a workflow's name; `workflow` when it has no letter or digit to make one from."""
    key = slugify(name)[:80].strip("-_")
    return f"workflow-{key}".strip("-") if not key or is_workflow_id(key) else key
