"""How much one template may ask for. Every number here is a row of the table in docs/guides/templates.md.

Work is counted in units of roughly a microsecond: a node, a list element or 16 characters of text cost one.
"""

from typing import Final

MAX_SOURCE_CHARS: Final = 262_144
MAX_BLOCK_DEPTH: Final = 50
MAX_EXPRESSION_DEPTH: Final = 20

MAX_OUTPUT_CHARS: Final = 1_048_576
MAX_STRING_CHARS: Final = 1_048_576
MAX_ITERATIONS: Final = 100_000
MAX_WORK: Final = 1_000_000
MAX_VALUE_DEPTH: Final = 100
MAX_LOCAL_NAMES: Final = 1_000

MAX_MISSING_NAMES: Final = 100
MAX_MISSING_NAME_CHARS: Final = 200

CHARS_PER_UNIT_SHIFT: Final = 4
