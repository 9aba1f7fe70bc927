"""Secret keys: the embedded profile's own, made once and kept in its state folder, and which of others will do."""

import os
import secrets
from pathlib import Path

from accounts.weak_secrets import weakness_of

SHORTEST_KEY_BYTES = 50
HOW_TO_MAKE_ONE = 'python3 -c "import secrets; print(secrets.token_urlsafe(64))"'


class WeakKey(ValueError):
    """A key that can be guessed; the message says why and how to make another, and never the key."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name} {fault}. Set it to one of your own, made with: {HOW_TO_MAKE_ONE}")


def require_strong(name: str, key: str) -> None:
    """Raise WeakKey when what `name` is set to is missing, short, or known to everybody."""
    weakness = weakness_of(key, shortest=SHORTEST_KEY_BYTES) if key else "is not set"
    if weakness:
        raise WeakKey(name, weakness)


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
