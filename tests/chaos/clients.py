"""Clients that ask until a trigger is accepted: again with the same key after every 5xx and every broken line."""

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.story import body_of, key_of
from tests.fakes.jsonl import JsonLines

THREADS = 6
# A request that takes longer hangs, says the contract.
PATIENCE_SECONDS = 15
PAUSE_SECONDS = 0.25


@dataclass
class Clients:
    """Send `triggers` requests, spread over `seconds`, from several threads.

    `accepted` are the idempotency keys that were answered with 2xx, with the trigger's id; `answers` counts every
    answer, and every line that broke, by its name.
    """

    port: int
    token: str
    journal: JsonLines
    triggers: int
    seconds: float
    accepted: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    without_pause: int = 0
    slowest_seconds: float = 0.0
    odd: list[str] = field(default_factory=list)
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ending: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._work, name=f"client-{n}", daemon=True) for n in range(THREADS)]
        for thread in self._threads:
            thread.start()

    @property
    def is_done(self) -> bool:
        """Whether everything was asked for and answered."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Give up what is not accepted yet."""
        self._ending.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS + 5)

    def trigger(self, number: int, **more: object) -> dict[str, object]:
        """Trigger once more, until it is accepted, from the caller's thread."""
        with _Line(self.port, self.token) as line:
            return self._until_accepted(line, number, more)

    def _work(self) -> None:
        with _Line(self.port, self.token) as line:
            while not self._ending.is_set():
                with self._lock:
                    number, self._next = self._next, self._next + 1
                if number >= self.triggers:
                    return
                due = self._began + number * self.seconds / self.triggers
                self._ending.wait(max(due - time.monotonic(), 0))
                self._until_accepted(line, number, {})

    def _until_accepted(self, line: "_Line", number: int, more: dict[str, object]) -> dict[str, object]:
        key = key_of(number)
        while not self._ending.is_set():
            begun = time.monotonic()
            answer = line.post(body_of(number) | more)
            self._count(key, answer, time.monotonic() - begun)
            if answer.status in (200, 202):
                self.accepted[key] = str(answer.body["id"])
                return answer.body
            if answer.status and answer.status < 500 and answer.status != 429:
                self.odd.append(f"{key}: {answer.status} {answer.body}")
                break
            self._ending.wait(PAUSE_SECONDS)
        return {}

    def _count(self, key: str, answer: "_Answer", seconds: float) -> None:
        with self._lock:
            self.answers[answer.name] += 1
            self.without_pause += answer.status == 503 and not answer.retry_after
            self.slowest_seconds = max(self.slowest_seconds, seconds)
        self.journal.append(
            {"at": time.time(), "key": key, "answer": answer.name, "id": answer.body.get("id"), "seconds": seconds}
        )


@dataclass(frozen=True)
class _Answer:
    status: int
    body: dict[str, object]
    name: str
    retry_after: str | None = None


class _Line:
    """One kept connection to the web process."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def __enter__(self) -> "_Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, body: dict[str, object]) -> _Answer:
        """Ask once; status 0 for a line that broke."""
        try:
            self._connection.request("POST", "/api/v1/triggers/", json.dumps(body).encode(), self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except TimeoutError:
            self._connection.close()
            return _Answer(0, {}, f"no answer within {PATIENCE_SECONDS} s")
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return _Answer(0, {}, "line broke")
        try:
            found = json.loads(content)
        except ValueError:
            found = {"raw": content[:200].decode(errors="replace")}
        return _Answer(response.status, found, str(response.status), response.getheader("Retry-After"))
