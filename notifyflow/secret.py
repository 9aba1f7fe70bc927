"""The embedded profile's secret key: made once, kept in its state folder, never shared."""

import os
import secrets
from pathlib import Path


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
