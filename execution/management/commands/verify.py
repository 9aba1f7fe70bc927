"""`manage.py verify`: checks the invariants over a live database and prints what is wrong. It changes nothing."""

import json
from argparse import ArgumentParser
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rest_framework.exceptions import ValidationError

from accounts.api_moments import MomentField
from execution.models import SweepTick
from execution.repairs import told
from execution.verification.findings import Finding
from execution.verification.service import longest_unserved
from execution.verification.walk import Grace, Progress, verify
from triggers.models import Trigger, TriggerQuerySet
from workflows.models import Workflow


class Command(BaseCommand):
    """Prints one line for each finding; ends with 1 when there are any, with 0 when there are none."""

    help = "Check every trigger, its steps and dead letters against its graph and status. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what to check, and how late is too late."""
        parser.add_argument(
            "--workflow",
            metavar="KEY_OR_ID",
            help="only the triggers of this workflow (what lost the row it refers to is found everywhere)",
        )
        parser.add_argument("--since", metavar="TIME", help="only triggers made since, as in 2026-03-05T09:00:00Z")
        parser.add_argument(
            "--lease-grace", type=float, default=30, metavar="SECONDS", help="how long a lease may have been over"
        )
        parser.add_argument(
            "--overdue",
            type=float,
            default=longest_unserved().total_seconds(),
            metavar="SECONDS",
            help="how long a trigger may have been due while nothing is taken from its lane; by default LEASE_SECONDS "
            "and half a minute, here %(default)g",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object a line, the last one a summary")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and print. Raises CommandError with findings, and for a workflow or time that can't be understood."""
        began, count, progress = monotonic(), 0, Progress()
        found = verify(
            _triggers(options["workflow"]),
            since=_moment(options["since"]),
            grace=Grace(timedelta(seconds=options["lease_grace"]), timedelta(seconds=options["overdue"])),
            progress=progress,
            on_batch=self._show,
        )
        for finding in found:
            count += 1
            self._clear()
            self.stdout.write(json.dumps(_as_json(finding)) if options["json"] else _as_line(finding))
        self._clear()
        seconds = monotonic() - began
        self.stdout.write(_json_summary(progress, count, seconds) if options["json"] else _summary(progress, seconds))
        if count:
            raise CommandError(f"{count} finding(s).")

    def _show(self, progress: Progress) -> None:
        """Keep one line on a terminal up to date."""
        if self.stderr.isatty():
            self.stderr.write(f"\r{progress.checked:,} triggers checked", ending="")

    def _clear(self) -> None:
        if self.stderr.isatty():
            self.stderr.write("\r\033[K", ending="")


def _triggers(workflow: str | None) -> TriggerQuerySet:
    if workflow is None:
        return Trigger.objects.all()
    found = Workflow.objects.named(workflow).first()
    if found is None:
        raise CommandError(f"There is no workflow {workflow}.")
    return Trigger.objects.filter(workflow=found)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment: datetime = MomentField().run_validation(text)
    except ValidationError as error:
        raise CommandError(f"--since {text}: {error}") from None
    return moment


def _as_line(finding: Finding) -> str:
    return f"{finding.kind}  {finding.trigger_id or '-'}  {finding.sentence}"


def _as_json(finding: Finding) -> dict[str, Any]:
    trigger = str(finding.trigger_id) if finding.trigger_id else None
    return {"kind": finding.kind.value, "trigger": trigger, "sentence": finding.sentence}


def _summary(progress: Progress, seconds: float) -> str:
    lines = [f"{progress.checked:,} triggers checked in {seconds:.1f} s ({progress.checked / seconds:,.0f} a second)."]
    if progress.without_graph:
        lines.append(f"Of {progress.without_graph:,} the version can't be read any more: checked without its graph.")
    tick = SweepTick.objects.first()
    lines.append(told(tick) if tick else "No sweep has run yet.")
    return "\n".join(lines)


def _json_summary(progress: Progress, count: int, seconds: float) -> str:
    tick = SweepTick.objects.first()
    return json.dumps(
        {
            "checked": progress.checked,
            "without_graph": progress.without_graph,
            "findings": count,
            "seconds": round(seconds, 3),
            "sweep": tick
            and {
                "ticked_at": tick.ticked_at.isoformat(),
                "last_repair_at": tick.last_repair_at and tick.last_repair_at.isoformat(),
                "freed_triggers": tick.freed_triggers,
                "doubted_steps": tick.doubted_steps,
                "expired_triggers": tick.expired_triggers,
                "rung_lanes": tick.rung_lanes,
            },
        }
    )
