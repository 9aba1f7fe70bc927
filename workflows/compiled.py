"""Versions made ready to run, cached by id; a version never changes, so neither does its compiled form."""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from workflows.definition import parse_definition
from workflows.graph import Graph
from workflows.models import WorkflowVersion


@dataclass(frozen=True, slots=True)
class CompiledVersion:
    """A version's graph with its templates and conditions compiled."""

    id: UUID
    workflow_key: str
    graph: Graph
    strict_variables: bool


@lru_cache(maxsize=1024)
def compiled_version(version_id: UUID) -> CompiledVersion:
    """Return the version made ready to run.

    Raises WorkflowVersion.DoesNotExist, and DefinitionInvalid when the stored definition can't be run any more,
    as after a channel was taken out.
    """
    version = WorkflowVersion.objects.select_related("workflow").get(pk=version_id)
    definition = parse_definition(version.definition)
    return CompiledVersion(
        id=version.id,
        workflow_key=version.workflow.key,
        graph=definition.graph,
        strict_variables=definition.strict_variables,
    )
