"""The dialect as an environment of python-liquid: its lexer, its tags, its limits, and nothing of the built-in ones."""

from collections.abc import Callable, Iterator
from typing import Final

from liquid import Environment
from liquid.tag import Tag
from liquid.token import Token

from templates import limits
from templates.dialect.lexer import tokenize
from templates.dialect.tags import blocks, conditions, loops, output, variables

TAGS: Final[tuple[type[Tag], ...]] = (
    output.ContentTag,
    output.OutputTag,
    output.EchoTag,
    output.UnknownTag,
    output.IncludeTag,
    output.RenderTag,
    output.LayoutTag,
    output.BlockTag,
    conditions.IfTag,
    conditions.UnlessTag,
    conditions.CaseTag,
    loops.ForTag,
    loops.TableRowTag,
    loops.BreakTag,
    loops.ContinueTag,
    loops.CycleTag,
    variables.AssignTag,
    variables.CaptureTag,
    variables.IncrementTag,
    variables.DecrementTag,
    blocks.RawTag,
    blocks.CommentTag,
    blocks.InlineCommentTag,
    blocks.LiquidTag,
)


class DialectEnvironment(Environment):
    """Parses templates of this dialect. With `is_html`, outputs are escaped."""

    block_nesting_limit = limits.MAX_BLOCK_DEPTH

    def __init__(self, *, is_html: bool) -> None:
        super().__init__()
        self.is_html = is_html

    def tokenizer(self) -> Callable[[str], Iterator[Token]]:
        return tokenize

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Register the dialect's tags; filters are bound while expressions are read."""
        for tag in TAGS:
            self.add_tag(tag)
