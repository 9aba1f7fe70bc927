"""Rendering and sending, many at once and outside every transaction (DESIGN section 6).

The threads here know no database. Each opens its own channel sessions and keeps them, so that a connection serves many
messages; all are closed when the batch is done.
"""

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Any, Self

from django.utils import timezone

from channels.contract import (
    OutgoingMessage,
    PermanentSendError,
    Receipt,
    SendError,
    Session,
    TransientSendError,
)
from channels.registry import channel_for
from execution.expiry import EXPIRED, dropped, is_past
from execution.work import Send
from templates.rendering import RenderError

logger = logging.getLogger(__name__)

# Once one answer is in, others are waited for this long, so that they are recorded in one transaction.
GATHER_SECONDS = 0.02
# Sending begins on so few threads; while answers are slow to come, their number doubles up to the limit. A fast
# provider is served best by few, since threads that only compute get in each other's way.
FIRST_THREADS = 4
ROOM_PER_THREAD = 4
MOST_ROOM = 512


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one send: a receipt or an error, and the variables that the templates missed.

    Neither when it has not begun, because the lease was over.
    """

    send: Send
    finished_at: datetime
    receipt: Receipt | None = None
    error: SendError | None = None
    missing_variables: tuple[str, ...] = ()
    has_begun: bool = True


class Sender:
    """Sends on up to `threads` threads, for one batch.

    It gives itself room for so many messages under way as keep the threads busy, and no more, since each of them is in
    doubt when the worker dies: more room while the provider is fast, more threads while it is slow.

    No send begins after `send_until`, by the monotonic clock, which runs on while a process is frozen: a worker that
    wakes up when its lease is over must not send what another worker has taken up.
    """

    def __init__(self, *, threads: int) -> None:
        self._limit = threads
        self._room = self._least_room = threads * ROOM_PER_THREAD
        self._threads: list[threading.Thread] = []
        self._to_send: SimpleQueue[tuple[Send, dict[str, Any]] | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self.in_flight = 0
        self.send_until = monotonic()

    @property
    def room(self) -> int:
        """How many more messages may be given now."""
        return self._room - self.in_flight

    @property
    def is_half_empty(self) -> bool:
        """Whether it is time to give more: in halves, so that intents are written many at once."""
        return 2 * self.in_flight <= self._room

    def submit(self, sends: Iterable[Send]) -> None:
        """Start sending; the caller has stored the intents."""
        for send in sends:
            self.in_flight += 1
            self._to_send.put((send, send.run.names()))
        self._have_threads(FIRST_THREADS)

    def collect(self, *, timeout: float) -> list[Answer]:
        """Wait up to `timeout` seconds for an answer and return it with those that come right behind it."""
        answers: list[Answer] = []
        until = monotonic() + timeout
        while len(answers) < self.in_flight:
            try:
                answers.append(self._answers.get(timeout=max(until - monotonic(), 0)))
            except Empty:
                break
            if len(answers) == 1:
                until = monotonic() + GATHER_SECONDS
        self.in_flight -= len(answers)
        if self.in_flight:
            self._room = self._least_room
            self._have_threads(2 * len(self._threads))
        else:
            self._room = min(2 * self._room, max(MOST_ROOM, self._least_room))
        return answers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # Nobody is left to record it: the sweep finds it in doubt, and has it sent again.
            self.take_back()
        for _ in self._threads:
            self._to_send.put(None)
        if kind is None:
            for thread in self._threads:
                thread.join()

    def _have_threads(self, wanted: int) -> None:
        for _ in range(min(wanted, self._limit, self.in_flight) - len(self._threads)):
            thread = threading.Thread(target=self._work, name="send", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take_back(self) -> list[Send]:
        """Return what no thread has begun to send; it will not be sent."""
        sends: list[Send] = []
        while True:
            try:
                job = self._to_send.get_nowait()
            except Empty:
                break
            if job is not None:
                sends.append(job[0])
        self.in_flight -= len(sends)
        return sends

    def _work(self) -> None:
        sessions: dict[str, Session] = {}
        try:
            while (job := self._to_send.get()) is not None:
                if monotonic() < self.send_until:
                    self._answers.put(_answer(*job, sessions))
                else:
                    self._answers.put(Answer(job[0], timezone.now(), has_begun=False))
        finally:
            for session in sessions.values():
                session.close()


def _answer(send: Send, names: dict[str, Any], sessions: dict[str, Session]) -> Answer:
    missing: list[str] = []
    receipt: Receipt | None = None
    error: SendError | None = None
    try:
        _check_time(send)
        fields = _render(send, names, missing)
        receipt = _session(send.node.type, sessions).send(OutgoingMessage(_message_key(send), fields))
    except SendError as raised:
        error = raised
    except Exception as raised:  # a bug in one channel must not take the other messages along
        logger.exception("Sending %s failed in a way its channel does not know", _message_key(send))
        error = TransientSendError(provider=send.step.provider, code="internal_error", message=repr(raised))
    return Answer(send, timezone.now(), receipt, error, tuple(dict.fromkeys(missing)))


def _check_time(send: Send) -> None:
    """Raise PermanentSendError for a message whose time was over before a thread came to it."""
    if send.send_by is not None and is_past(send.send_by, timezone.now()):
        raise PermanentSendError(provider=send.step.provider, code=EXPIRED, message=dropped(send.send_by))


def _render(send: Send, names: dict[str, Any], missing: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, template in send.node.templates.items():
        try:
            rendered = template.render(names, strict=send.run.workflow.strict_variables)
        except RenderError as error:
            raise PermanentSendError(
                provider=send.step.provider, code=error.code, message=f"{name}: {error.message}"
            ) from None
        fields[name] = rendered.text
        missing.extend(rendered.missing_variables)
    return fields


def _session(node_type: str, sessions: dict[str, Session]) -> Session:
    session = sessions.get(node_type)
    if session is None:
        session = sessions[node_type] = channel_for(node_type).open()
    return session


def _message_key(send: Send) -> str:
    return f"{send.run.id}.{send.node.id}"
