"""Secret keys: the embedded profile's own, made once and kept in its state folder, and which of others will do."""

import os
import re
import secrets
from pathlib import Path

SHORTEST_KEY = 50
SHORTEST_SIGNING_KEY_BYTES = 32
FEWEST_CHARACTERS = 5
# What stands in examples, templates and tutorials, so that everybody knows it.
PLACEHOLDER = re.compile(
    r"(django-insecure|change|secret|your[-_ ]|my[-_ ]|replace|placeholder|example|default|insecure|password|todo|xxx)",
    re.IGNORECASE,
)
HOW_TO_MAKE_ONE = 'python3 -c "import secrets; print(secrets.token_urlsafe(64))"'


class WeakKey(ValueError):
    """A key that can be guessed; the message says why and how to make another, and never the key."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name} {fault}. Set it to one of your own, made with: {HOW_TO_MAKE_ONE}")


def require_strong(name: str, key: str) -> None:
    """Raise WeakKey when what `name` is set to is missing, short, or known to everybody."""
    if not key:
        raise WeakKey(name, "is not set")
    if PLACEHOLDER.match(key):
        raise WeakKey(name, "is the placeholder of an example")
    if len(key) < SHORTEST_KEY:
        raise WeakKey(name, f"is shorter than {SHORTEST_KEY} characters")
    if len(set(key)) < FEWEST_CHARACTERS:
        raise WeakKey(name, f"has fewer than {FEWEST_CHARACTERS} different characters")


def require_strong_signing_key(name: str, key: str) -> None:
    """Raise WeakKey for a shared secret that is short or known; what is in a file or PEM, `accounts.signing` reads."""
    if key.startswith("file:") or "-----BEGIN" in key:
        return
    if PLACEHOLDER.match(key):
        raise WeakKey(name, "is the placeholder of an example")
    if len(key.encode()) < SHORTEST_SIGNING_KEY_BYTES:
        raise WeakKey(name, f"is shorter than {SHORTEST_SIGNING_KEY_BYTES} bytes")
    if len(set(key)) < FEWEST_CHARACTERS:
        raise WeakKey(name, f"has fewer than {FEWEST_CHARACTERS} different characters")


def embedded_secret_key(folder: Path) -> str:
    """Return the key kept in `folder`, making it on first use with mode 600."""
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"secret_key.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        try:
            # A link, unlike a rename, fails when another process was first: both then read the same key.
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
