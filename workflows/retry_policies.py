"""From `retry` to a policy: the presets that have a name, and the free form. Pure."""

from datetime import timedelta
from typing import TypeGuard

from workflows.faults import Faults, join
from workflows.nodes import RetryPolicy

MOST_ATTEMPTS = 20
LONGEST_INTERVAL_S = 7 * 24 * 3600
LARGEST_FACTOR = 100

STANDARD = "standard"
PRESETS = {
    # For what is worthless a moment later.
    "none": RetryPolicy(max_attempts=1),
    # Three attempts, 2 and 4 seconds apart: what a node has that says nothing.
    STANDARD: RetryPolicy(),
    # Three retries, after 2, 4 and 8 seconds: for what somebody is waiting for.
    "quick": RetryPolicy(max_attempts=4),
    # 1 m, 5 m, 15 m, 1 h, then the dead letter: outlasts a provider's bad hour.
    "patient": RetryPolicy(max_attempts=5, intervals=tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))),
}


def parse_retry(raw: dict[str, object], path: str, faults: Faults, *, default: RetryPolicy) -> RetryPolicy:
    """Return the policy that `raw["retry"]` says, a preset's name or the free form; without one, `default`.

    A policy stands for itself: what the free form leaves out is as in the preset `standard`, not as in `default`.
    Each fault is noted, and `default` returned then.
    """
    if "retry" not in raw:
        return default
    before = len(faults.found)
    path = join(path, "retry")
    said = raw["retry"]
    if isinstance(said, str):
        if said not in PRESETS:
            known = ", ".join(PRESETS)
            faults.add(path, "unknown_preset", f"There is no retry preset called {said[:40]!r}; known are: {known}.")
        return PRESETS.get(said, default)
    if not isinstance(said, dict):
        faults.add(path, "invalid_type", f"This must be an object, or one of: {', '.join(PRESETS)}.")
        return default
    policy = _free_form(said, path, faults)
    return policy if policy is not None and len(faults.found) == before else default


def _free_form(raw: dict[str, object], path: str, faults: Faults) -> RetryPolicy | None:
    standard, before = PRESETS[STANDARD], len(faults.found)
    faults.unknown_fields(raw, path, {"max_attempts", "backoff", "intervals_s"})
    attempts = faults.typed(raw, path, "max_attempts", int, default=standard.max_attempts)
    if not 1 <= attempts <= MOST_ATTEMPTS:
        faults.add(join(path, "max_attempts"), "out_of_range", f"This must be from 1 to {MOST_ATTEMPTS}.")
    if "backoff" in raw and "intervals_s" in raw:
        faults.add(path, "invalid_retry", "A retry policy has either `backoff` or `intervals_s`, not both.")
    intervals = faults.typed(raw, path, "intervals_s", list, default=[])
    if raw.get("intervals_s") == []:
        faults.add(join(path, "intervals_s"), "empty", "Name at least one interval.")
    for index, seconds in enumerate(intervals):
        _check_seconds(seconds, join(path, "intervals_s", index), faults)
    backoff = faults.typed(raw, path, "backoff", dict, default={})
    path = join(path, "backoff")
    faults.unknown_fields(backoff, path, {"base_s", "factor", "cap_s"})
    for name in ("base_s", "cap_s"):
        if name in backoff:
            _check_seconds(backoff[name], join(path, name), faults)
    factor = backoff.get("factor", standard.factor)
    if not is_number(factor) or not 1 <= factor <= LARGEST_FACTOR:
        faults.add(join(path, "factor"), "out_of_range", f"This must be a number from 1 to {LARGEST_FACTOR}.")
    if len(faults.found) > before:
        return None
    return RetryPolicy(
        max_attempts=attempts,
        base=timedelta(seconds=backoff.get("base_s", standard.base.total_seconds())),
        factor=float(factor),
        cap=timedelta(seconds=backoff.get("cap_s", standard.cap.total_seconds())),
        intervals=tuple(timedelta(seconds=seconds) for seconds in intervals),
    )


def _check_seconds(value: object, path: str, faults: Faults) -> None:
    if not is_number(value) or not 0 <= value <= LONGEST_INTERVAL_S:
        faults.add(path, "out_of_range", f"This must be a number of seconds from 0 to {LONGEST_INTERVAL_S}.")


def is_number(value: object) -> TypeGuard[int | float]:
    """Say whether a value of JSON is a number; `true` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
