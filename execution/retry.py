"""When a failed step is tried again. Pure: the dice come from the caller."""

from datetime import timedelta

from workflows.nodes import RetryPolicy

# Each wait is spread over this share of itself, so that what failed together doesn't come back together.
JITTER_SHARE = 0.2


def delay_after(
    policy: RetryPolicy, *, failures: int, is_transient: bool, retry_after: timedelta | None, dice: float
) -> timedelta | None:
    """Return how long to wait before the next attempt, or None when there is none.

    `failures` counts the failed attempts, the latest included; `dice` is a number from 0 to 1. A provider's
    `retry_after` wins where it is longer, up to the policy's cap or its longest interval, whichever is more.
    Permanent errors are never tried again.
    """
    if not is_transient or failures >= policy.max_attempts:
        return None
    wait = planned_wait(policy, failures=failures)
    jittered = wait * (1 - JITTER_SHARE / 2 + JITTER_SHARE * dice)
    if retry_after is None:
        return jittered
    return max(jittered, min(retry_after, max([policy.cap, *policy.intervals])))


def planned_wait(policy: RetryPolicy, *, failures: int) -> timedelta:
    """Return the policy's wait after so many failures, without dice: the last interval serves for all later ones."""
    if policy.intervals:
        return policy.intervals[min(failures, len(policy.intervals)) - 1]
    try:
        return min(policy.base * policy.factor ** (failures - 1), policy.cap)
    except OverflowError:
        return policy.cap
