"""The story of one batch: claim, write intents, render and send, record, next (DESIGN section 6)."""

import logging
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from time import monotonic, sleep
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
)
from django.utils import timezone

from channels.registry import node_types
from execution import stopping
from execution.claims import Claim, claim_batch, claim_more, lease_length, release, renew_lease
from execution.in_hand import NO_CHANNEL, InHand
from execution.intents import withdraw_intents
from execution.recording import Advance, advance, record, tell
from execution.runs import Run, Unrunnable, load_runs
from execution.sending import Sender
from execution.unrunnable import fail_unrunnable
from execution.verdicts import verdict
from execution.work import Result, Send, next_work
from triggers import bells

logger = logging.getLogger(__name__)
T = TypeVar("T")

# The database is away, or gave up on a statement, or takes no writes now: the same may succeed a moment later.
AWAY = (OperationalError, InterfaceError, InternalError)
RECORD_AGAIN_SECONDS = 0.5
# While a slow provider has said nothing, a worker looks so often whether it shall stop, and for work on other channels.
LOOK_SECONDS = 0.5
# Looking for that may take this part of its time at most: it passes over whatever waits for the slow one.
LOOKING_SHARE = 0.1
# So many times CLAIM_LIMIT a batch has in hand at most.
MOST_CLAIMS_IN_HAND = 4


def advance_lane(lane: str) -> int:
    """Carry what is due in `lane` as far as it goes now, up to one batch. Return how many triggers it began with.

    A full batch rings once more before it works, so that idle workers join in. A worker that was asked to stop passes
    the bell on.
    """
    bells.lower_flag(lane)
    if stopping.is_asked_to_stop():
        bells.ring(lane)
        return 0
    # By the clock from before the claim: a worker that is frozen right behind it must not take its lease for a new one.
    held_since = monotonic()
    claim = claim_batch(lane, limit=settings.CLAIM_LIMIT, now=timezone.now())
    if claim.is_full:
        bells.ring(lane)
    if claim.trigger_ids:
        with Sender(threads=settings.SEND_THREADS) as sender:
            Batch(claim, sender, held_since=held_since).work_off()
    return len(claim.trigger_ids)


@dataclass(slots=True)
class Batch:
    """One claim being worked off: triggers not looked at yet, runs that wait for their channel, messages under way.

    A batch whose providers are fast is over in a moment. One that waits for a slow provider takes more of its lane
    meanwhile, for as long as it may work, as soon as a channel would run dry: the connections of the slow one stay
    busy, and what goes out on another channel is not held up. What stands where the slow channel's messages wait is
    passed over.

    With `one_node` each trigger is given back after the node that was due, for the next claim.
    What a provider has answered is never dropped: when the database is away, nothing new is begun, and what is known
    is recorded as soon as it is back, within the lease. When the worker is asked to stop, what no thread has begun to
    send is given back at once, and what is on its way is waited for and recorded.
    """

    claim: Claim
    sender: Sender
    one_node: bool = False
    held_since: float = field(default_factory=monotonic)
    in_hand: InHand = field(init=False)
    dry: frozenset[str] = frozenset()
    look_at: float = 0.0
    # Whose rows say less than their steps, by trigger.
    passing: dict[UUID, Advance] = field(default_factory=dict)
    stop_at: float = field(init=False)
    renew_at: float = field(init=False)
    trouble: DatabaseError | InterfaceError | None = None
    is_lease_over: bool = False

    def __post_init__(self) -> None:
        self.in_hand = InHand(self.claim.trigger_ids)
        self.stop_at = monotonic() + settings.CLAIM_WORK_SECONDS
        self._lease_holds(since=self.held_since)

    def work_off(self) -> None:
        """Go round until nothing of the claim is left to do now; after CLAIM_WORK_SECONDS only finish what has begun.

        Raises the database's error at the end when one kept something from being begun; the sweep takes that up.
        """
        results: list[Result] = []
        has_more = False
        while results or self.in_hand or self.sender.in_flight:
            results += self._answers(wait=not results and not has_more)
            results = self._turn(results)
            has_more = self._guarded(self._take_up) or False
            if monotonic() >= self.renew_at:
                self._guarded(self._keep_lease)
        if self.trouble is not None:
            raise self.trouble

    def _turn(self, results: list[Result]) -> list[Result]:
        """Record what came of nodes, write what is sent next, and begin to send; return what needs no sending.

        Runs that go on come before those that have not begun. All of it is one transaction, so that a step costs one.
        """
        now = timezone.now()
        # Asked once: what may go on must not be given back before its outcome is stored.
        has_time = self._has_time()
        may_go_on = has_time and not self.one_node
        may_pass = not self.sender.is_slow
        advances = [advance(result, now=now, may_go_on=may_go_on, may_pass=may_pass) for result in results]
        self.in_hand.put_first([each.result.run for each in advances if each.goes_on])
        begun = self._guarded(partial(self._plan, now)) if has_time else None
        sends, further = begun or ([], [])
        if advances or sends:
            self._store(advances, sends, now)
        if not has_time:
            # Last: what is told of a trigger then is never more than its stored steps tell.
            self._guarded(self._give_back)
        return further

    def _plan(self, now: datetime) -> tuple[list[Send], list[Result]]:
        """Take as many runs as their channels have room for, those under way first, and see what each does next."""
        sends: list[Send] = []
        results: list[Result] = []
        for run in self._take():
            try:
                work = next_work(run, now=now)
            except Exception as error:  # a trigger that can't be understood must not hold up its lane
                logger.exception("Trigger %s can't be run any further", run.id)
                fail_unrunnable(self.claim, [Unrunnable(run.trigger, "internal_error", repr(error))], now=now)
                continue
            if isinstance(work, Send):
                sends.append(work)
            else:
                results.append(work)
        return sends, results

    def _take(self) -> list[Run]:
        taken = self.in_hand.take(NO_CHANNEL, len(self.in_hand))
        for channel in node_types():
            if self.in_hand.waiting(channel) and self.sender.is_time_for_more(channel):
                taken += self.in_hand.take(channel, self.sender.room(channel))
        return taken

    def _take_up(self) -> bool:
        """Load what channels have room for; claim more when one would run dry while the batch waits for another.

        Returns whether there is anything new in hand.
        """
        if not self._has_time():
            return False
        now = timezone.now()
        # Which channel a trigger needs shows when it is loaded. Only where one is slow is it worth to look ahead.
        is_looking_ahead = self.sender.is_slow or not self.sender.in_flight
        dry = self._dry(node_types() if is_looking_ahead else self.sender.channels)
        if not dry:
            return False
        if not self.in_hand.not_loaded and self.sender.is_slow and self._may_look(dry):
            self._claim_more(dry, now)
        wanted = max(self.sender.room(channel) - self.in_hand.waiting(channel) for channel in dry)
        ids = self.in_hand.take_ids(wanted)
        if not ids:
            return False
        runs, unrunnable = load_runs(ids)
        self.in_hand.put(runs)
        fail_unrunnable(self.claim, unrunnable, now=now)
        return bool(runs)

    def _dry(self, channels: Iterable[str]) -> frozenset[str]:
        """Return the channels that may be given more than is in hand for them."""
        return frozenset(
            channel
            for channel in channels
            if self.sender.is_time_for_more(channel) and self.sender.room(channel) > self.in_hand.waiting(channel)
        )

    def _may_look(self, dry: frozenset[str]) -> bool:
        """Say whether there may be more for one of these: right after there was nothing for any there is not."""
        has_place = len(self.in_hand) < MOST_CLAIMS_IN_HAND * settings.CLAIM_LIMIT
        return has_place and not self.one_node and (monotonic() >= self.look_at or not dry <= self.dry)

    def _claim_more(self, dry: frozenset[str], now: datetime) -> None:
        began_at = monotonic()
        slow = self.in_hand.places(channel for channel in node_types() if channel not in dry)
        more = claim_more(self.claim, limit=settings.CLAIM_LIMIT, now=now, passing_over=slow)
        self.in_hand.not_loaded.extend(more.trigger_ids)
        if more.is_full:
            bells.ring(self.claim.lane)
            self.dry = frozenset()
        else:
            ended_at = monotonic()
            self.dry = dry
            self.look_at = ended_at + max(LOOK_SECONDS, (ended_at - began_at) / LOOKING_SHARE)

    def _answers(self, *, wait: bool) -> list[Result]:
        if not self.sender.in_flight:
            return []
        answers = self.sender.collect(timeout=min(max(self.renew_at - monotonic(), 0.05), LOOK_SECONDS) if wait else 0)
        withdrawn = [answer.send for answer in answers if not answer.has_begun]
        if withdrawn:
            self._guarded(partial(withdraw_intents, self.claim, withdrawn, now=timezone.now()))
        now = timezone.now()
        return [verdict(answer, now=now, dice=random.random()) for answer in answers if answer.has_begun]  # noqa: S311  # no secret

    def _store(self, advances: Sequence[Advance], sends: Sequence[Send], now: datetime) -> None:
        """Record and begin to send, again and again while the lease lasts, so that no answer is dropped."""
        give_up_at = monotonic() + lease_length().total_seconds() / 2
        while True:
            try:
                held = record(self.claim, advances, sends, now=now)
            except AWAY as error:
                self._note(error)
                if not advances:
                    self.trouble = error
                    return
                if monotonic() > give_up_at:
                    raise
                sleep(RECORD_AGAIN_SECONDS)
            except (DataError, IntegrityError) as error:
                self._store_one_by_one(advances, sends, error, now)
                return
            else:
                break
        for each in advances:
            if each.passing:
                self.passing[each.result.run.id] = each
            else:
                self.passing.pop(each.result.run.id, None)
        self.sender.submit(send for send in sends if send.run.id in held)
        if lost := {each.result.run.id for each in advances} - held:
            self.in_hand.drop(lost)

    def _store_one_by_one(
        self, advances: Sequence[Advance], sends: Sequence[Send], error: DatabaseError, now: datetime
    ) -> None:
        """Have what can't be stored fail its own trigger and no other."""
        advances_by_run = {each.result.run.id: each for each in advances}
        sends_by_run = {each.run.id: each for each in sends}
        runs = {each.id: each for each in (*(a.result.run for a in advances), *(s.run for s in sends))}
        if len(runs) > 1:
            for run_id in runs:
                its = (advances_by_run.get(run_id), sends_by_run.get(run_id))
                self._store([its[0]] if its[0] else [], [its[1]] if its[1] else [], now)
            return
        ((run_id, run),) = runs.items()
        logger.error("What came of trigger %s can't be stored: %s", run_id, error)
        fail_unrunnable(self.claim, [Unrunnable(run.trigger, "unstorable_outcome", str(error))], now=timezone.now())
        self.in_hand.drop({run_id})

    def _has_time(self) -> bool:
        may_begin = self.trouble is None and not self.is_lease_over and not stopping.is_asked_to_stop()
        return may_begin and monotonic() < self.stop_at

    def _give_back(self) -> None:
        """Leave to the next claim what has not begun."""
        self._tell()
        sends = self.sender.take_back()
        left = self.in_hand.take_all()
        now = timezone.now()
        if sends:
            withdraw_intents(self.claim, sends, now=now)
        if left:
            release(self.claim, left, now=now)
        if sends or left:
            bells.ring(self.claim.lane)

    def _keep_lease(self) -> None:
        now = monotonic()
        if now >= self.sender.send_until:
            # Frozen past the lease: others may have the triggers by now. What waits for a thread must not be sent.
            self.is_lease_over = True
            self.renew_at = math.inf
            return
        renew_lease(self.claim)
        self._lease_holds(since=now)
        self._tell()

    def _tell(self) -> None:
        """Have the rows of triggers that have been passing say where they are: they did not rest soon after all."""
        if self.passing:
            tell(self.claim, list(self.passing.values()), now=timezone.now())
            self.passing.clear()

    def _lease_holds(self, *, since: float) -> None:
        seconds = lease_length().total_seconds()
        self.renew_at = since + seconds / 3
        self.sender.send_until = since + seconds

    def _guarded(self, act: Callable[[], T]) -> T | None:
        """Do it; when the database is away, note that and begin nothing more."""
        try:
            return act()
        except AWAY as error:
            self._note(error)
            self.trouble = error
            self.renew_at = monotonic() + RECORD_AGAIN_SECONDS
            return None

    def _note(self, error: Exception) -> None:
        logger.warning("The database is away while claim %s is worked off: %s", self.claim.id, error)
        connection.close()
