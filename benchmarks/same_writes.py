"""The SQL that peers write with: the same rows into the same tables, made from the models as they are now."""

from typing import Any

from django.db import connection
from django.db.models import Model
from psycopg import sql
from psycopg.types.json import Jsonb

from execution.models import Step
from triggers.models import Trigger
from workflows.models import Workflow


def trigger_sql() -> str:
    """Return the INSERT of a trigger: $1 id, $2 workflow's key, $3 idempotency key, $4 recipient, $5 context.

    It returns nothing when the key is taken. Our own also writes an entry of the audit trail, which peers are spared.
    """
    given = {
        "id": "$1::uuid",
        "workflow_id": "w.id",
        "version_id": "v.id",
        "idempotency_key": "$3",
        "priority": "w.priority",
        "current_node_id": "v.definition ->> 'entry_node_id'",
        "recipient": "$4::jsonb",
        "context": "$5::jsonb",
        "available_at": "now()",
        "created_at": "now()",
        "updated_at": "now()",
    }
    return (
        f"{_into(Trigger, given)} FROM workflows_workflow w"
        " JOIN workflows_workflowversion v ON v.workflow_id = w.id AND v.number = w.version"
        " WHERE w.key = $2 AND w.is_active ON CONFLICT (workflow_id, idempotency_key) DO NOTHING"
        " RETURNING id, workflow_id, priority, current_node_id, created_at"
    )


def intent_sql(workflow: Workflow) -> str:
    """Return the INSERT of a running step: $1 id, $2 trigger, $3 node, $4 node type."""
    given = {
        "id": "$1::uuid",
        "trigger_id": "$2::uuid",
        "workflow_id": f"'{workflow.pk}'::uuid",
        "node_id": "$3",
        "node_type": "$4",
        "attempt": "1",
        "status": "'running'",
        "provider": "'null'",
        "started_at": "now()",
    }
    return _into(Step, given)


def outcome_sql() -> str:
    """Return the statement that ends a step and moves its trigger: $1 step, $2 message id, $3 trigger, $4 next node.

    Both at once, which spares the peer a round trip. An empty $4 completes the trigger.
    """
    return (
        "WITH step AS (UPDATE execution_step SET status = 'succeeded', message_id = $2,"
        " finished_at = clock_timestamp(), output = '{\"missing_variables\": []}' WHERE id = $1::uuid)"
        " UPDATE triggers_trigger SET current_node_id = $4::text, last_step_status = 'succeeded', updated_at = now(),"
        " status = CASE WHEN $4::text = '' THEN 'completed' ELSE status END,"
        " completed_at = CASE WHEN $4::text = '' THEN clock_timestamp() END WHERE id = $3::uuid"
    )


def _into(model: type[Model], given: dict[str, str]) -> str:
    """Return `INSERT INTO ... SELECT ...`; a column that is not given gets the model's default."""
    names, values = [], []
    for field in model._meta.concrete_fields:
        names.append(f'"{field.column}"')
        values.append(given.get(field.attname) or _literal(field.get_default(), field.get_internal_type()))
    return f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) SELECT {', '.join(values)}"


def _literal(value: Any, kind: str) -> str:
    if value is None:
        return "NULL"
    connection.ensure_connection()
    return sql.Literal(Jsonb(value) if kind == "JSONField" else value).as_string(connection.connection)
