"""The public face of this package: compile a template or a condition once, render it often.

Only `templates` imports Liquid; everyone else imports this module.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from liquid.exceptions import LiquidError
from msgspec import Struct

from templates import limits
from templates.dialect.environment import DialectEnvironment
from templates.dialect.expressions import Expression
from templates.dialect.filters import FILTERS
from templates.dialect.nodes import UNEXPECTED, DialectNode, as_render_error, line_of, write_all
from templates.dialect.plain import plain_pieces, render_plain
from templates.dialect.reader import ExpressionReader, Origin
from templates.dialect.state import RenderState
from templates.dialect.unicode import well_formed
from templates.dialect.values import is_falsy
from templates.errors import RenderError, TemplateError, TemplateSyntaxError

__all__ = [
    "Condition",
    "RenderError",
    "Rendered",
    "Template",
    "TemplateError",
    "TemplateSyntaxError",
    "compile_condition",
    "compile_template",
    "render",
]

_TEXT: Final = DialectEnvironment(is_html=False)
_HTML: Final = DialectEnvironment(is_html=True)


class Rendered(Struct, frozen=True):
    """What a template said, and the names it asked for in vain, in order of first use."""

    text: str
    missing_variables: tuple[str, ...] = ()


class Template:
    """A compiled template. It never changes, so any number of threads may render it at once."""

    __slots__ = ("_nodes", "_pieces")

    def __init__(self, nodes: Sequence[DialectNode]) -> None:
        self._nodes = tuple(nodes)
        self._pieces = plain_pieces(nodes)

    def render(self, context: Mapping[str, object], *, strict: bool = False) -> Rendered:
        """Render with JSON-like values. Raises RenderError, also for a missing variable if `strict`."""
        if self._pieces is not None and (text := render_plain(self._pieces, context)) is not None:
            return Rendered(text)
        return self.render_in_full(context, strict=strict)

    def render_in_full(self, context: Mapping[str, object], *, strict: bool = False) -> Rendered:
        """Render by what any template may need; what `render` does is the same, and sooner done for most."""
        state = RenderState(context, is_strict=strict)
        write_all(self._nodes, state)
        return Rendered(well_formed("".join(state.chunks)), tuple(state.missing))


class Condition:
    """A compiled condition; as immutable as a Template."""

    __slots__ = ("_expression",)

    def __init__(self, expression: Expression) -> None:
        self._expression = expression

    def is_true(self, context: Mapping[str, object]) -> bool:
        """Tell whether it holds; a variable that is missing is null. Raises RenderError."""
        try:
            return not is_falsy(self._expression.evaluate(RenderState(context, is_strict=False)))
        except (LiquidError, *UNEXPECTED) as error:
            raise as_render_error(error) from error


def compile_template(source: str, *, is_html: bool = False) -> Template:
    """Parse a template. With `is_html`, outputs are escaped unless their last filter is `raw`.

    Raises TemplateSyntaxError when the source is not a template, or larger or deeper than allowed.
    """
    _check_size(source)
    try:
        nodes = (_HTML if is_html else _TEXT).from_string(source).nodes
    except LiquidError as error:
        raise _syntax_error(error) from error
    return Template([node for node in nodes if isinstance(node, DialectNode)])


def compile_condition(source: str) -> Condition:
    """Parse what could stand in `{% if ... %}`. Raises TemplateSyntaxError when it could not."""
    _check_size(source)
    if "%}" in source:
        raise TemplateSyntaxError("a condition cannot contain '%}'")
    try:
        return Condition(ExpressionReader(source, FILTERS, Origin(source, 0), is_excused=True).read_condition())
    except LiquidError as error:
        raise _syntax_error(error) from error


def render(source: str, context: Mapping[str, object], *, is_html: bool = False, strict: bool = False) -> Rendered:
    """Compile and render at once, for previews. Raises TemplateSyntaxError or RenderError."""
    return compile_template(source, is_html=is_html).render(context, strict=strict)


def _check_size(source: str) -> None:
    if len(source) > limits.MAX_SOURCE_CHARS:
        raise TemplateSyntaxError(f"a template may have {limits.MAX_SOURCE_CHARS} characters")


def _syntax_error(error: LiquidError) -> TemplateSyntaxError:
    line = None if error.token is None else line_of(error.token)
    return TemplateSyntaxError(str(error.message), line=line)
