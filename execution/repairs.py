"""What sweeps have repaired since the installation began: counted in the transaction of each repair, told in words."""

from datetime import datetime, timedelta

from django.db.models import F, Q

from execution.models import SweepTick

# A lane whose oldest trigger has been due for so long has no worker that gets to it.
LONGEST_WAIT = timedelta(minutes=1)
# How often that is said in the log.
SAID_EVERY = timedelta(minutes=1)


def count_repairs(*, freed_triggers: int = 0, doubted_steps: int = 0, expired_triggers: int = 0, now: datetime) -> None:
    """Add to the totals, inside the transaction of the repair; a second sweep adds its own."""
    SweepTick.objects.get_or_create(pk=1, defaults={"ticked_at": now})
    SweepTick.objects.filter(pk=1).update(
        freed_triggers=F("freed_triggers") + freed_triggers,
        doubted_steps=F("doubted_steps") + doubted_steps,
        expired_triggers=F("expired_triggers") + expired_triggers,
        last_repair_at=now,
    )


def note_tick(*, now: datetime, rung_lanes: int, oldest_due_at: datetime | None) -> bool:
    """Store that a sweep went through, and since when the oldest due trigger has waited.

    Return whether it is time to say that it waits too long: once every SAID_EVERY, whichever sweep is first.
    """
    tick, _ = SweepTick.objects.get_or_create(pk=1, defaults={"ticked_at": now})
    SweepTick.objects.filter(pk=1).update(
        ticked_at=now, oldest_due_at=oldest_due_at, rung_lanes=F("rung_lanes") + rung_lanes
    )
    if oldest_due_at is None or oldest_due_at > now - LONGEST_WAIT:
        return False
    unsaid = Q(wait_said_at=None) | Q(wait_said_at__lte=now - SAID_EVERY)
    return bool(SweepTick.objects.filter(unsaid, pk=tick.pk).update(wait_said_at=now))


def told(tick: SweepTick) -> str:
    """Say what the sweeps have repaired since the installation began."""
    if tick.last_repair_at is None:
        return "Nothing has had to be repaired yet."
    return (
        f"Repaired so far: {tick.freed_triggers:,} triggers freed from workers that were lost, {tick.doubted_steps:,}"
        f" steps found in doubt, {tick.expired_triggers:,} triggers ended that expired while they waited; last at"
        f" {tick.last_repair_at:%Y-%m-%d %H:%M:%S} UTC."
    )
