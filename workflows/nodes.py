"""The parts of a workflow: nodes and edges, typed and frozen. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from templates.rendering import Condition, Template


class OnDoubt(StrEnum):
    """What becomes of a step whose worker died before it knew the provider's answer."""

    RESEND = "resend"
    HOLD = "hold"


class OnFailure(StrEnum):
    """What becomes of the workflow when a node has failed for good."""

    FAIL = "fail"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a transient failure is tried again: by fixed intervals, or else by exponential backoff.

    `cap` bounds the backoff, and how long a pause a provider may ask for.
    """

    max_attempts: int = 3
    base: timedelta = timedelta(seconds=2)
    factor: float = 2.0
    cap: timedelta = timedelta(hours=1)
    intervals: tuple[timedelta, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageNode:
    """Sends one message over the channel that its type names; not after `ttl`, counted from when it became ready."""

    id: str
    type: str
    templates: Mapping[str, Template]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    on_doubt: OnDoubt = OnDoubt.RESEND
    on_failure: OnFailure = OnFailure.FAIL
    ttl: timedelta | None = None


@dataclass(frozen=True, slots=True)
class DelayNode:
    """Holds its branch for a while, counted from when the branch reached it."""

    id: str
    delay: timedelta
    type: str = "delay"


Node = MessageNode | DelayNode


@dataclass(frozen=True, slots=True)
class Edge:
    """Leads from one node to the next, when its condition holds or it has none."""

    source: str
    target: str
    when: Condition | None = None
    # The edge's name in stored state; node ids hold no `>`, and no two edges join the same nodes.
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.source}>{self.target}")
