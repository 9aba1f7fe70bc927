"""When a failed step is tried again."""

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from execution.retry import JITTER_SHARE, delay_after, planned_wait
from workflows.nodes import RetryPolicy
from workflows.retry_policies import LARGEST_FACTOR, LONGEST_INTERVAL_S, MOST_ATTEMPTS, PRESETS

# Dice that leave the planned wait as it is.
EVEN = 0.5


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def wait_after(
    policy: RetryPolicy, *, failures: int = 1, retry_after: timedelta | None = None, dice: float = EVEN
) -> timedelta | None:
    """Return the wait after a transient failure."""
    return delay_after(policy, failures=failures, is_transient=True, retry_after=retry_after, dice=dice)


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (RetryPolicy(), [2, 4]),
        (RetryPolicy(max_attempts=6), [2, 4, 8, 16, 32]),
        (RetryPolicy(max_attempts=5, base=seconds(10), factor=3, cap=seconds(100)), [10, 30, 90, 100]),
        (RetryPolicy(max_attempts=4, base=seconds(0.5), factor=1), [0.5, 0.5, 0.5]),
        (RetryPolicy(max_attempts=3, base=seconds(0)), [0, 0]),
        (RetryPolicy(max_attempts=3, base=seconds(50), cap=seconds(20)), [20, 20]),
        (RetryPolicy(max_attempts=20, base=seconds(3600), factor=100, cap=seconds(7200)), [3600] + 18 * [7200]),
        (RetryPolicy(max_attempts=5, intervals=(seconds(60), seconds(300))), [60, 300, 300, 300]),
        (RetryPolicy(max_attempts=4, intervals=(seconds(9),)), [9, 9, 9]),
        (RetryPolicy(max_attempts=3, intervals=(seconds(9), seconds(1), seconds(5))), [9, 1]),
        (RetryPolicy(max_attempts=2, intervals=(seconds(7200),)), [7200]),
        (RetryPolicy(max_attempts=1), []),
    ],
)
def test_waits_until_the_attempts_are_used_up(policy: RetryPolicy, waits: list[float]) -> None:
    found = [wait_after(policy, failures=failures) for failures in range(1, len(waits) + 2)]

    assert found == [*map(seconds, waits), None]


def test_attempts_beyond_the_last_are_not_tried_again_either() -> None:
    assert wait_after(RetryPolicy(max_attempts=3), failures=17) is None


def test_a_permanent_error_is_never_tried_again() -> None:
    policy = RetryPolicy(max_attempts=20)

    assert delay_after(policy, failures=1, is_transient=False, retry_after=None, dice=EVEN) is None
    assert delay_after(policy, failures=1, is_transient=False, retry_after=seconds(5), dice=EVEN) is None


@pytest.mark.parametrize(("dice", "wait"), [(0, 9), (0.25, 9.5), (0.5, 10), (0.75, 10.5), (1, 11)])
@pytest.mark.parametrize("policy", [RetryPolicy(base=seconds(10)), RetryPolicy(intervals=(seconds(10),))])
def test_dice_spread_a_wait_by_a_tenth_to_either_side(policy: RetryPolicy, dice: float, wait: float) -> None:
    assert wait_after(policy, dice=dice) == seconds(wait)


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        (None, 10),
        (seconds(0), 10),
        (seconds(9), 10),
        (seconds(11), 11),
        (seconds(59), 59),
        (seconds(60), 60),
        (seconds(61), 60),
        (timedelta(days=365), 60),
    ],
)
def test_a_longer_retry_after_wins_up_to_the_cap(retry_after: timedelta | None, wait: float) -> None:
    assert wait_after(RetryPolicy(base=seconds(10), cap=seconds(60)), retry_after=retry_after) == seconds(wait)


def test_a_provider_that_asks_for_a_pause_gets_no_jitter_within_it() -> None:
    assert wait_after(RetryPolicy(base=seconds(10)), retry_after=seconds(60), dice=0.3) == seconds(60)


def test_retry_after_grants_no_further_attempt() -> None:
    assert wait_after(RetryPolicy(max_attempts=2), failures=2, retry_after=seconds(60)) is None


def test_retry_after_does_not_shorten_an_interval_beyond_the_cap() -> None:
    policy = RetryPolicy(cap=seconds(60), intervals=(seconds(300),))

    assert wait_after(policy, retry_after=seconds(200)) == seconds(300)


@pytest.mark.parametrize(("retry_after", "wait"), [(20, 60), (600, 600), (7200, 3600), (30 * 3600, 3600)])
def test_a_longer_retry_after_wins_over_an_interval_up_to_the_cap(retry_after: float, wait: float) -> None:
    policy = PRESETS["patient"]

    assert wait_after(policy, retry_after=seconds(retry_after)) == seconds(wait)


def test_a_policy_that_names_longer_intervals_than_the_cap_takes_a_pause_as_long() -> None:
    policy = RetryPolicy(intervals=(seconds(60), seconds(6 * 3600)))

    assert wait_after(policy, retry_after=seconds(5 * 3600)) == seconds(5 * 3600)
    assert wait_after(policy, retry_after=seconds(7 * 3600)) == seconds(6 * 3600)


# What a definition can say.
interval = st.floats(0, LONGEST_INTERVAL_S).map(seconds)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, MOST_ATTEMPTS),
    base=interval,
    factor=st.floats(1, LARGEST_FACTOR),
    cap=interval,
    intervals=st.lists(interval, max_size=5).map(tuple),
)
dice = st.floats(0, 1)
pauses = st.none() | st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000))


@given(policies, st.integers(1, MOST_ATTEMPTS), pauses, dice)
def test_a_wait_stays_between_nothing_and_the_longest_that_the_policy_names(
    policy: RetryPolicy, failures: int, retry_after: timedelta | None, thrown: float
) -> None:
    wait = wait_after(policy, failures=failures, retry_after=retry_after, dice=thrown)

    longest = max([policy.cap, *policy.intervals])
    assert (wait is None) == (failures >= policy.max_attempts)
    assert wait is None or timedelta(0) <= wait <= longest * (1 + JITTER_SHARE / 2) + timedelta(microseconds=1)


@given(policies, st.integers(1, MOST_ATTEMPTS), st.timedeltas(min_value=timedelta(0)), dice)
def test_no_attempt_comes_before_the_pause_that_the_provider_asked_for(
    policy: RetryPolicy, failures: int, retry_after: timedelta, thrown: float
) -> None:
    wait = wait_after(policy, failures=failures, retry_after=retry_after, dice=thrown)

    assert wait is None or wait >= min(retry_after, policy.cap)


@given(policies, st.integers(1, 10_000))
def test_backoff_never_shrinks(policy: RetryPolicy, failures: int) -> None:
    assume(not policy.intervals)

    assert planned_wait(policy, failures=failures) <= planned_wait(policy, failures=failures + 1) <= policy.cap
