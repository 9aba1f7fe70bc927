"""Uploads: triggers line by line, each chunk of them accepted and committed as it comes, and how far that has got."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_standardized_errors.formatter import flatten_errors
from rest_framework.exceptions import APIException, ErrorDetail, ParseError, ValidationError

from accounts.audit import Actor
from accounts.strict_json import BodyTooLarge, text_of, value_of
from triggers.acceptance import UnknownWorkflow, WorkflowInactive
from triggers.bulk.acceptance import accept_all
from triggers.bulk.items import Item, item_from
from triggers.bulk.lines import Line, Lines
from triggers.models import BulkUpload
from triggers.states import UploadState
from workflows.models import Workflow

logger = logging.getLogger(__name__)

# A chunk ends with whichever comes first.
CHUNK_LINES = 1_000
CHUNK_BYTES = 4 * 1024 * 1024
# Of lines that were refused, so many faults are kept; the lines are counted to the last.
MOST_ERRORS = 100


class UploadCut(APIException):
    """400: the connection ended before the body did."""

    status_code = 400
    default_code = "body_cut"
    default_detail = "The body ended before its end; what came until then is stored."


# What ends an upload before its end, and the reason that the upload then gives.
REASONS: dict[type[BaseException], str] = {
    UploadCut: "connection_lost",
    BodyTooLarge: "body_too_large",
    WorkflowInactive: "workflow_inactive",
    UnknownWorkflow: "unknown_workflow",
}


@dataclass
class Chunk:
    """Lines that were read together: what is valid of them, and what is wrong with the others."""

    lines: int = 0
    bytes: int = 0
    rejected: int = 0
    items: list[Item] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether it is to be stored before more is read."""
        return self.lines >= CHUNK_LINES or self.bytes >= CHUNK_BYTES

    def take(self, line: Line) -> None:
        """Read a line; a blank one counts as a line and is nothing else."""
        self.lines += 1
        self.bytes += len(line.text or b"")
        try:
            self.items += _items_in(line)
        except (ParseError, ValidationError) as error:
            self.rejected += 1
            detail: Any = error.detail
            self.errors += (
                {"line": line.number, "code": fault.code, "detail": fault.detail, "attr": fault.attr}
                for fault in flatten_errors(detail)[: MOST_ERRORS - len(self.errors)]
            )


def _items_in(line: Line) -> list[Item]:
    """Return the item that the line is, none for a blank one. Raises ParseError and ValidationError."""
    if line.text is None:
        raise ValidationError(ErrorDetail("The line is too long.", "line_too_long"))
    text = text_of(line.text, what="line")
    return [item_from(value_of(text, what="line"))] if text.strip() else []


def begin_upload(*, workflow: str, by: Actor) -> BulkUpload:
    """Store an upload of which nothing was read yet. Raises UnknownWorkflow."""
    found = Workflow.objects.named(workflow).first()
    if found is None:
        raise UnknownWorkflow(workflow)
    now = timezone.now()
    return BulkUpload.objects.create(
        workflow=found, actor_id=by.user_id, actor=by.name, request_id=by.request_id, started_at=now, updated_at=now
    )


def store_lines(upload: BulkUpload, lines: Lines, *, by: Actor) -> Iterator[int]:
    """Accept the triggers of all lines and end the upload; give the number of each chunk's lines once it is stored.

    Lines that are refused keep none of the others back. Raises UploadCut, BodyTooLarge, WorkflowInactive and
    UnknownWorkflow after what came before is stored.
    """
    try:
        for chunk in _chunks(lines):
            _store(upload, chunk, by=by)
            yield chunk.lines
        if lines.is_cut:
            raise UploadCut  # noqa: TRY301  # one place tells every end
    except BaseException as error:
        _end(upload, UploadState.BROKEN_OFF, reason=REASONS.get(type(error), "interrupted"))
        raise
    _end(upload, UploadState.FINISHED)


def _chunks(lines: Lines) -> Iterator[Chunk]:
    """Give full chunks, and what is left at the end, or when what comes is refused."""
    chunk = Chunk()
    refusal: BodyTooLarge | None = None
    source = iter(lines)
    while True:
        try:
            line = next(source, None)
        except BodyTooLarge as error:
            refusal, line = error, None
        if line is None:
            break
        chunk.take(line)
        if chunk.is_full:
            yield chunk
            chunk = Chunk()
    if chunk.lines:
        yield chunk
    if refusal is not None:
        raise refusal


def _store(upload: BulkUpload, chunk: Chunk, *, by: Actor) -> None:
    """Accept a chunk's triggers and count them, both or neither."""
    with transaction.atomic():
        accepted = accept_all(workflow=str(upload.workflow_id), items=chunk.items, by=by) if chunk.items else []
        created = sum(each.created for each in accepted)
        upload.lines_read += chunk.lines
        upload.created += created
        upload.existing += len(accepted) - created
        upload.rejected += chunk.rejected
        upload.errors = [*upload.errors, *chunk.errors[: MOST_ERRORS - len(upload.errors)]]
        upload.updated_at = timezone.now()
        _save(upload, ["lines_read", "created", "existing", "rejected", "errors", "updated_at"])


def _end(upload: BulkUpload, state: UploadState, *, reason: str = "") -> None:
    upload.state, upload.reason = state.value, reason
    upload.updated_at = upload.finished_at = timezone.now()
    _save(upload, ["state", "reason", "updated_at", "finished_at"])


def _save(upload: BulkUpload, fields: Iterable[str]) -> None:
    upload.save(update_fields=list(fields))
