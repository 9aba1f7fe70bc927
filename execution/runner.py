"""The story of one batch: claim, write intents, render and send, record, next (DESIGN section 6)."""

import logging
import random
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from execution.claims import Claim, claim_batch, lease_length, release, renew_lease
from execution.intents import write_intents
from execution.recording import record_results
from execution.runs import Run, load_runs
from execution.sending import Sender
from execution.unrunnable import fail_unrunnable
from execution.verdicts import verdict
from execution.work import Result, Send, next_work
from triggers import bells

logger = logging.getLogger(__name__)


def advance_lane(lane: str) -> int:
    """Carry what is due in `lane` as far as it goes now, up to one batch. Return how many triggers were claimed.

    A full batch rings once more before it works, so that idle workers join in.
    """
    bells.lower_flag(lane)
    claim = claim_batch(lane, limit=settings.CLAIM_LIMIT, now=timezone.now())
    if claim.is_full:
        bells.ring(lane)
    if claim.trigger_ids:
        with Sender(threads=settings.SEND_THREADS) as sender:
            Batch(claim, sender).work_off()
    return len(claim.trigger_ids)


@dataclass(slots=True)
class Batch:
    """One claim being worked off: triggers not looked at yet, runs that go on at once, messages under way."""

    claim: Claim
    sender: Sender
    going_on: deque[Run] = field(default_factory=deque)
    not_loaded: deque[UUID] = field(init=False)
    stop_at: float = field(init=False)
    renew_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.not_loaded = deque(self.claim.trigger_ids)
        self.stop_at = monotonic() + settings.CLAIM_WORK_SECONDS
        self.renew_at = monotonic() + lease_length().total_seconds() / 3

    def work_off(self) -> None:
        """Go round until nothing of the claim is left to do now; after CLAIM_WORK_SECONDS only finish what is sent."""
        while self.going_on or self.not_loaded or self.sender.in_flight:
            if monotonic() >= self.stop_at:
                self._give_back()
            now = timezone.now()
            sends, results = self._plan(now)
            self.sender.submit(write_intents(self.claim, sends))
            results += self._answers(wait=not results)
            if results:
                going_on = record_results(self.claim, results, now=timezone.now(), may_go_on=self._has_time())
                self.going_on.extendleft(reversed(going_on))
            self._keep_lease()

    def _plan(self, now: datetime) -> tuple[list[Send], list[Result]]:
        """Take as many runs as there is room for, those under way first, and see what each does next."""
        sends: list[Send] = []
        results: list[Result] = []
        for run in self._take(self.sender.room if self.sender.is_half_empty else 0, now):
            work = next_work(run, now=now)
            if isinstance(work, Send):
                sends.append(work)
            else:
                results.append(work)
        return sends, results

    def _take(self, count: int, now: datetime) -> list[Run]:
        taken = [self.going_on.popleft() for _ in range(min(count, len(self.going_on)))]
        ids = [self.not_loaded.popleft() for _ in range(min(count - len(taken), len(self.not_loaded)))]
        if ids:
            runs, unrunnable = load_runs(ids)
            taken += runs
            fail_unrunnable(self.claim, unrunnable, now=now)
        return taken

    def _answers(self, *, wait: bool) -> list[Result]:
        if not self.sender.in_flight:
            return []
        answers = self.sender.collect(timeout=max(self.renew_at - monotonic(), 0.05) if wait else 0)
        now = timezone.now()
        return [verdict(answer, now=now, dice=random.random()) for answer in answers]  # noqa: S311  # no secret

    def _has_time(self) -> bool:
        return monotonic() < self.stop_at

    def _give_back(self) -> None:
        """Leave to the next claim what no intent was written for."""
        left = [run.id for run in self.going_on] + list(self.not_loaded)
        self.going_on.clear()
        self.not_loaded.clear()
        if left:
            release(self.claim, left, now=timezone.now())
            bells.ring(self.claim.lane)

    def _keep_lease(self) -> None:
        if monotonic() >= self.renew_at:
            renew_lease(self.claim, now=timezone.now())
            self.renew_at = monotonic() + lease_length().total_seconds() / 3
