"""How many threads and how much room a channel gets, for providers of every kind."""

import pytest

from execution.pace import FEW_THREADS, FIRST_ROOM, HESITATING_SECONDS, MOST_ROOM, SILENT_SECONDS, Pace


def heard(pace: Pace, *, seconds: float, computing: float, answers: int = 20, now: float = 1.0) -> None:
    for _ in range(answers):
        pace.hear(seconds, computing_seconds=computing, now=now)


def looked(pace: Pace, *, rounds: int, seconds: float, computing: float, in_flight: int = 1000) -> list[int]:
    """Return the number of threads after each of so many rounds of answers."""
    threads = []
    for number in range(rounds):
        heard(pace, seconds=seconds, computing=computing, now=float(number))
        pace.look(in_flight=in_flight, now=float(number))
        threads.append(pace.threads)
    return threads


def test_what_only_computes_keeps_one_thread_and_gets_more_room_each_time_all_is_answered() -> None:
    pace = Pace(160)
    rooms = []
    for _ in range(4):
        heard(pace, seconds=0.0005, computing=0.0002)
        pace.look(in_flight=0, now=1.0)
        rooms.append(pace.room)

    assert rooms == [2 * FIRST_ROOM, MOST_ROOM, MOST_ROOM, MOST_ROOM]
    assert (pace.threads, pace.is_trying_one, pace.is_slow) == (1, True, False)


def test_a_fast_provider_that_makes_wait_gets_few_threads_at_once_and_no_more_room() -> None:
    pace = Pace(160)
    assert looked(pace, rounds=8, seconds=0.002, computing=0.0002) == [FEW_THREADS] * 8
    assert not pace.is_trying_one
    assert pace.room == FIRST_ROOM


def test_a_slow_provider_gets_twice_the_threads_each_time_up_to_the_limit() -> None:
    assert looked(Pace(160), rounds=7, seconds=0.1, computing=0.0005) == [8, 16, 32, 64, 128, 160, 160]


def test_no_more_threads_than_it_takes_to_keep_one_computing() -> None:
    """For 10 ms, of which one is computed, ten would do; eight are near enough, and sixteen too many."""
    assert looked(Pace(160), rounds=5, seconds=0.01, computing=0.001)[-1] == 8
    assert looked(Pace(160), rounds=9, seconds=0.02, computing=0.001)[-1] == 16


def test_threads_that_would_have_nothing_to_send_are_not_started() -> None:
    assert looked(Pace(160), rounds=5, seconds=0.1, computing=0.0005, in_flight=9) == [8, 16, 16, 16, 16]


def test_silence_counts_as_slow_before_the_first_answer() -> None:
    pace = Pace(160)
    pace.heard_at = 5.0

    pace.look(in_flight=FIRST_ROOM, now=5.0 + SILENT_SECONDS / 2)
    assert (pace.is_slow, pace.threads) == (False, FEW_THREADS)
    pace.look(in_flight=FIRST_ROOM, now=5.0 + SILENT_SECONDS * 1.01)
    assert (pace.is_slow, pace.threads) == (True, 2 * FEW_THREADS)
    # The same silence is counted once.
    pace.look(in_flight=FIRST_ROOM, now=5.0 + SILENT_SECONDS * 1.5)
    assert pace.threads == 2 * FEW_THREADS


def test_a_moment_s_hesitation_brings_few_threads_and_no_more_of_them() -> None:
    pace = Pace(160)
    pace.heard_at = 5.0

    pace.look(in_flight=FIRST_ROOM, now=5.0 + HESITATING_SECONDS / 2)
    assert pace.threads == 1
    pace.look(in_flight=0, now=6.0)
    assert pace.threads == 1
    for _ in range(3):
        pace.look(in_flight=FIRST_ROOM, now=5.0 + HESITATING_SECONDS * 1.01)
        assert (pace.is_slow, pace.threads) == (False, FEW_THREADS)


def test_few_threads_are_no_more_than_the_limit() -> None:
    assert looked(Pace(2), rounds=2, seconds=0.002, computing=0.0002) == [2, 2]
    assert not Pace(1).is_trying_one


@pytest.mark.parametrize(("limit", "most"), [(1, 4), (3, 12), (32, 128), (160, 320)])
def test_what_a_slow_provider_may_hold_in_doubt_is_bounded(limit: int, most: int) -> None:
    pace = Pace(limit)
    looked(pace, rounds=10, seconds=5.0, computing=0.001)

    assert (pace.threads, pace.room) == (limit, most)
    assert not pace.is_time_for_more(in_flight=most)


def test_a_provider_that_recovers_gets_room_again() -> None:
    pace = Pace(160)
    looked(pace, rounds=6, seconds=0.1, computing=0.0005)
    assert (pace.is_slow, pace.room) == (True, 2 * 160)

    heard(pace, seconds=0.001, computing=0.0005, answers=200, now=6.0)
    pace.look(in_flight=5, now=6.0)
    assert (pace.is_slow, pace.room) == (False, FIRST_ROOM)
