"""What a batch has claimed and not begun, by the channel it goes out on, so that a slow one holds up no other."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from uuid import UUID

from execution import engine
from execution.runs import Run
from workflows.nodes import MessageNode

# A version's id and one of its nodes.
Place = tuple[UUID, str]
# Where runs are whose next node needs no channel, such as a delay.
NO_CHANNEL = ""


class InHand:
    """Ids of triggers that nobody has looked at yet, and runs, first those under way."""

    def __init__(self, trigger_ids: Iterable[UUID]) -> None:
        self.not_loaded = deque(trigger_ids)
        self._runs: defaultdict[str, deque[Run]] = defaultdict(deque)

    def __len__(self) -> int:
        return len(self.not_loaded) + sum(map(len, self._runs.values()))

    def waiting(self, channel: str) -> int:
        """Return how many runs wait for the channel."""
        return len(self._runs[channel])

    def take_ids(self, count: int) -> list[UUID]:
        """Return up to `count` ids that nobody has looked at yet, which are in hand no longer."""
        return [self.not_loaded.popleft() for _ in range(min(count, len(self.not_loaded)))]

    def put(self, runs: Iterable[Run]) -> None:
        """Line up runs that were loaded just now."""
        for run in runs:
            self._runs[_channel_of(run)].append(run)

    def put_first(self, runs: Iterable[Run]) -> None:
        """Line up runs that are under way, before those that are not."""
        for run in reversed(list(runs)):
            self._runs[_channel_of(run)].appendleft(run)

    def take(self, channel: str, count: int) -> list[Run]:
        """Return up to `count` runs of the channel, which are in hand no longer."""
        runs = self._runs[channel]
        return [runs.popleft() for _ in range(min(count, len(runs)))]

    def take_all(self) -> list[UUID]:
        """Return the ids of all triggers; nothing is left in hand."""
        ids = [run.id for runs in self._runs.values() for run in runs] + list(self.not_loaded)
        self._runs.clear()
        self.not_loaded.clear()
        return ids

    def drop(self, trigger_ids: Collection[UUID]) -> None:
        """Forget runs that the claim has lost."""
        for channel, runs in self._runs.items():
            self._runs[channel] = deque(run for run in runs if run.id not in trigger_ids)

    def places(self, channels: Iterable[str]) -> set[Place]:
        """Return version and node of what waits for these channels: more of the same would only wait, too."""
        return {(run.trigger.version_id, _node_id(run)) for channel in channels for run in self._runs[channel]}


def _node_id(run: Run) -> str:
    """Return the node that is next, or nothing for a run that makes no sense; whoever takes that up says so."""
    try:
        found = engine.next_node(run.workflow.graph, run.state)
    except LookupError:
        return ""
    return found[0] if found else ""


def _channel_of(run: Run) -> str:
    node = run.workflow.graph.nodes.get(_node_id(run))
    return node.type if isinstance(node, MessageNode) else NO_CHANNEL
