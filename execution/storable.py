"""Text from templates and providers, made so that the database can hold it. Pure."""

LONGEST_MESSAGE = 2_000
LONGEST_NAME = 255


def storable(text: str, *, longest: int = LONGEST_MESSAGE) -> str:
    """Return the text, cut to a length, without what PostgreSQL can't hold: NUL and half surrogate pairs."""
    return text[:longest].replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
