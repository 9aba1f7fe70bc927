"""Lines of a body that is never held whole: NDJSON as it comes from the wire."""

from collections.abc import Iterator
from typing import IO, NamedTuple

from accounts.strict_json import BodyTooLarge

BLOCK_BYTES = 64 * 1024


class Line(NamedTuple):
    """A line by its number, from 1; None stands for a text that was too long to be kept."""

    number: int
    text: bytes | None


class Lines:
    """The lines of a stream; at most one line and one block of it are in memory.

    `length` is how many bytes the stream is to have, None when nobody said. `is_cut` says, after the last line, that
    fewer came: a line that has begun there is not given, since it may be the beginning of another one.
    """

    def __init__(self, stream: IO[bytes], *, length: int | None, longest: int, limit: int) -> None:
        self.is_cut = False
        self._stream = stream
        self._length = length
        self._longest = longest
        self._limit = limit
        self._read = 0

    def __iter__(self) -> Iterator[Line]:
        """Give one line after the other. Raises BodyTooLarge beyond the limit, after the lines before it."""
        number, begun, is_too_long = 0, b"", False
        while block := self._next_block():
            *ended, rest = block.split(b"\n")
            for text in ended:
                number += 1
                whole = begun + text
                yield Line(number, None if is_too_long or len(whole) > self._longest else whole)
                begun, is_too_long = b"", False
            begun += rest
            if len(begun) > self._longest:
                begun, is_too_long = b"", True
        if (begun or is_too_long) and not self.is_cut:
            yield Line(number + 1, None if is_too_long else begun)

    def _next_block(self) -> bytes:
        try:
            block = self._stream.read(BLOCK_BYTES)
        except OSError:
            self.is_cut = True
            return b""
        self._read += len(block)
        if self._read > self._limit:
            raise BodyTooLarge(self._limit)
        if not block and self._length is not None:
            self.is_cut = self._read < self._length
        return block
