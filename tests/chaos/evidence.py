"""What must hold at the end, read from the database, the clients' answers and the providers' journals."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.chaos.story import HELD, MESSAGES, NODES, has_offer

# Each statement finds what must not be.
WRONG = {
    "triggers under way": "SELECT id FROM triggers_trigger WHERE status IN ('enqueued', 'processing')",
    "claims that outlived their trigger": "SELECT id FROM triggers_trigger WHERE claim_id IS NOT NULL",
    "triggers that exist twice":
        "SELECT min(id::text) FROM triggers_trigger GROUP BY workflow_id, idempotency_key HAVING count(*) > 1",
    "steps without an end": "SELECT id FROM execution_step WHERE status IN ('running')",
    "delays that a completed trigger did not end":
        "SELECT s.id FROM execution_step s JOIN triggers_trigger t ON t.id = s.trigger_id"
        " WHERE s.status = 'waiting' AND t.status = 'completed'",
    "nodes that succeeded twice":
        "SELECT min(id::text) FROM execution_step WHERE status = 'succeeded'"
        " GROUP BY trigger_id, node_id HAVING count(*) > 1",
    "nodes that ran after they had succeeded":
        "SELECT b.id FROM execution_step a JOIN execution_step b USING (trigger_id, node_id)"
        " WHERE a.status = 'succeeded' AND b.attempt > a.attempt"
        " AND b.started_at > coalesce((a.output ->> 'known_at')::timestamptz, a.finished_at)"
        " AND b.status <> 'in_doubt'",
    "failed triggers without an open dead letter":
        # One that a person has discarded since is an answer too; one discarded before an earlier redrive is not.
        "SELECT t.id FROM triggers_trigger t WHERE t.status = 'failed' AND NOT EXISTS"
        " (SELECT FROM execution_deadletter d WHERE d.trigger_id = t.id AND d.redriven_at IS NULL"
        " AND (d.discarded_at IS NULL OR d.discarded_at >= t.completed_at))",
    "dead letters of triggers that did not fail":
        "SELECT d.id FROM execution_deadletter d JOIN triggers_trigger t ON t.id = d.trigger_id"
        " WHERE d.redriven_at IS NULL AND d.discarded_at IS NULL AND t.status <> 'failed'",
    "joins that did not wait":
        "SELECT f.id FROM execution_step f JOIN execution_step p USING (trigger_id) WHERE f.node_id = 'feedback'"
        " AND p.node_id IN ('text', 'offer') AND p.status IN ('succeeded', 'skipped')"
        " AND f.started_at < p.finished_at",
    "messages sent before their delay was over":
        "SELECT x.id FROM execution_step x JOIN execution_step w USING (trigger_id) WHERE x.node_id = 'text'"
        " AND w.node_id = 'wait' AND x.started_at < (w.output ->> 'until')::timestamptz - interval '1 ms'",
}  # fmt: skip


@dataclass
class Evidence:
    """What was found: `faults` must be empty; `numbers` are for the table."""

    faults: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def must_be_empty(self, what: str, found: Iterable[object]) -> None:
        """Note a fault when something was found."""
        items = sorted(map(str, found))
        if items:
            self.faults.append(f"{len(items)} {what}: {', '.join(items[:5])}{' ...' if len(items) > 5 else ''}")


def look(database: str, accepted: Mapping[str, str], journals: Iterable[Path]) -> Evidence:
    """Read everything and compare it; the faults are over and nothing is under way any more."""
    evidence = Evidence()
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as looking:
        for what, statement in WRONG.items():
            evidence.must_be_empty(what, (next(iter(row.values())) for row in looking.execute(statement)))
        triggers = looking.execute("SELECT id::text, idempotency_key AS key, status FROM triggers_trigger").fetchall()
        steps = looking.execute(
            "SELECT trigger_id::text AS trigger, node_id, attempt, status, error, output FROM execution_step"
        ).fetchall()
    _compare_triggers(evidence, triggers, accepted)
    by_node: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for step in steps:
        by_node[step["trigger"], step["node_id"]].append(step)
    _compare_nodes(evidence, triggers, by_node)
    _compare_messages(evidence, triggers, by_node, Counter(messages(journals)))
    return evidence


def messages(journals: Iterable[Path]) -> list[tuple[str, str]]:
    """Return trigger id and node id of every message that a provider accepted, as often as it did."""
    found = []
    for journal in journals:
        for line in journal.read_text().splitlines() if journal.is_file() else []:
            record = json.loads(line)
            is_mail = record["message_id"].startswith("<")
            name = record["message_id"].strip("<>").partition("@")[0] if is_mail else record["body"].split()[0]
            trigger, _, node = name.rpartition(".")
            found.append((trigger, node))
    return found


def _compare_triggers(evidence: Evidence, triggers: list[dict[str, Any]], accepted: Mapping[str, str]) -> None:
    stored = {trigger["key"]: trigger["id"] for trigger in triggers}
    evidence.must_be_empty("accepted triggers that are lost", accepted.keys() - stored.keys())
    differ = [key for key, found in accepted.items() if key in stored and stored[key] != found]
    evidence.must_be_empty("accepted triggers that have another id", differ)
    counts = Counter(trigger["status"] for trigger in triggers)
    evidence.numbers |= {"triggers accepted": len(accepted), "triggers stored": len(triggers)}
    evidence.numbers |= {f"triggers {status}": counts[status] for status in ("completed", "failed", "canceled")}


def _compare_nodes(
    evidence: Evidence, triggers: list[dict[str, Any]], by_node: Mapping[tuple[str, str], list[dict[str, Any]]]
) -> None:
    for trigger in triggers:
        if trigger["status"] != "completed":
            continue
        for node in NODES:
            ends = [step["status"] for step in by_node.get((trigger["id"], node), [])]
            expected = "skipped" if node == "offer" and not has_offer(trigger["key"]) else "succeeded"
            if ends.count(expected) != 1:
                evidence.faults.append(f"{trigger['id']} is completed, but {node} is {ends}, not once {expected}")


def _compare_messages(
    evidence: Evidence,
    triggers: list[dict[str, Any]],
    by_node: Mapping[tuple[str, str], list[dict[str, Any]]],
    sent: Counter[tuple[str, str]],
) -> None:
    known = {trigger["id"] for trigger in triggers}
    evidence.must_be_empty("messages of triggers that do not exist", (name for name in sent if name[0] not in known))
    evidence.must_be_empty("messages without a step", (name for name in sent if name not in by_node))
    twice = {name: times for name, times in sent.items() if times > 1}
    evidence.must_be_empty("messages sent twice although held when in doubt", (n for n in twice if n[1] in HELD))
    unsaid = [n for n, times in twice.items() if times - 1 > sum(says_in_doubt(step) for step in by_node.get(n, []))]
    evidence.must_be_empty("messages sent again that no step calls in doubt", unsaid)
    unsent, held = [], 0
    for name, steps in by_node.items():
        if name[1] not in MESSAGES:
            continue
        has_succeeded = any(step["status"] == "succeeded" for step in steps)
        if has_succeeded and not sent[name]:
            unsent.append(name)
        held += bool(sent[name]) and not has_succeeded
    evidence.must_be_empty("messages that succeeded and no provider has", unsent)
    all_steps = [step for steps in by_node.values() for step in steps]
    evidence.numbers |= {
        "messages accepted by the providers": sum(sent.values()),
        "steps in doubt": sum(step["status"] == "in_doubt" for step in all_steps),
        "failed attempts without a clear answer": sum(map(_is_without_answer, all_steps)),
        "messages in doubt and accepted again": sum(times - 1 for times in twice.values()),
        "messages accepted, held as outcome unknown": held,
        "failed attempts": sum(step["status"] == "failed" for step in all_steps),
    }


def says_in_doubt(step: Mapping[str, Any]) -> bool:
    """Say whether a step tells that its message may have left although no answer said so."""
    return step["status"] == "in_doubt" or _is_without_answer(step)


def _is_without_answer(step: Mapping[str, Any]) -> bool:
    return step["status"] == "failed" and bool((step["error"] or {}).get("is_in_doubt"))
