"""Versions made ready to run, cached by id; a version never changes, so neither does its compiled form."""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from workflows.definition import parse_definition
from workflows.faults import DefinitionInvalid, Fault
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

    Raises DefinitionInvalid when there is none, and when the stored definition can't be run any more, as after a
    channel was taken out.
    """
    version = WorkflowVersion.objects.select_related("workflow").filter(pk=version_id).first()
    if version is None:
        raise DefinitionInvalid((Fault("version", "gone", f"The version {version_id} is gone."),))
    definition = parse_definition(version.definition)
    return CompiledVersion(
        id=version.id,
        workflow_key=version.workflow.key,
        graph=definition.graph,
        strict_variables=definition.strict_variables,
    )
