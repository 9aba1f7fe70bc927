"""What can be wrong with a template: with its text when it is compiled, or with its rendering."""


class TemplateError(Exception):
    """Base of everything this package raises on purpose."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line

    def __str__(self) -> str:
        return self.message if self.line is None else f"{self.message} (line {self.line})"


class TemplateSyntaxError(TemplateError):
    """The source is not a template of this dialect, or is larger or deeper than allowed."""


class RenderError(TemplateError):
    """The template cannot be rendered with this context, however often it is tried.

    `code` is one of `template_error`, `template_limit_exceeded`, `undefined_variable`.
    """

    def __init__(self, message: str, *, code: str = "template_error", line: int | None = None) -> None:
        super().__init__(message, line=line)
        self.code = code


class LimitExceededError(RenderError):
    """Rendering would take more memory or time than one template may have."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message, code="template_limit_exceeded", line=line)


class UndefinedVariableError(RenderError):
    """Strict rendering met a variable that the context does not have."""

    def __init__(self, path: str, *, line: int | None = None) -> None:
        super().__init__(f"undefined variable: {path}", code="undefined_variable", line=line)
        self.path = path
