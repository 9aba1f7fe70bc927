"""One round: schemathesis in a process of its own, as one caller, with a seed; what it found is its output."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.processes import BIN, ROOT
from tests.fuzz.service import ANONYMOUS, CHANGED, KEPT, Service

HOOKS = ROOT / "tests" / "fuzz" / "hooks.py"
# Where a body's values hang together in ways that a schema can't say, a body that fits the schema may be refused.
BEYOND_A_SCHEMA = {
    "workflows_create": "edges join nodes that exist, templates parse, names hold more than spaces, keys are free",
    "workflows_update": "as workflows_create",
    "workflows_partial_update": "as workflows_create",
    "triggers_create": "an idempotency key is in the body or in the header, and if in both, the same",
    "triggers_bulk_create": "as triggers_create, and an upload names its workflow in the address",
    "triggers_redrive_matching": "at least one field that narrows",
    "triggers_cancel_matching": "at least one field that narrows",
    "dead_letters_redrive_matching": "at least one field that narrows",
    "dead_letters_discard_matching": "at least one field that narrows, and reasons hold more than spaces",
    "dead_letters_discard_create": "reasons hold more than spaces",
    "templates_preview_create": "templates parse",
    "auth_token_create": "names hold more than spaces",
    "users_create": "passwords pass the validators, people have no scopes, names are free",
    "users_partial_update": "as users_create",
    "users_keys_create": "scopes lie within the role, moments lie ahead",
}

# What each caller's round gets done, or else it has only knocked at doors.
GETS_DONE = {
    ANONYMOUS: set(),
    "workflowManager": {"workflows_create", "workflows_activate_create", "templates_preview_create", "steps_list"},
    "triggerOperator": {
        "triggers_create",
        "triggers_bulk_create",
        "triggers_retrieve",
        "triggers_cancel_create",
        "steps_list",
    },
    "systemAdmin": {"workflows_create", "triggers_create", "users_create", "audit_list"},
    "workerService": {"triggers_process_create"},
}
# Beside what schemathesis counts by itself: an ETag that nobody gave fits its pattern.
ACCEPTED = ["2xx", "304", "401", "403", "404", "409", "412", "429"]
REJECTED = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "429"]


@dataclass(frozen=True)
class Round:
    """How a round ended; `output` names each finding, with the call that shows it.

    `answers` counts by operation and status: `users_list 200`.
    """

    is_clean: bool
    output: str
    answers: dict[str, int]

    @property
    def requests(self) -> int:
        """How many requests it sent."""
        return sum(self.answers.values())

    def succeeded(self) -> set[str]:
        """Return the operations that did what they were asked for at least once."""
        return {name.split()[0] for name in self.answers if " 2" in name}


def run_round(service: Service, caller: str, *, seed: int, seconds: int, examples: int) -> Round:
    """Run schemathesis as `caller`: `examples` for each operation and phase, again until the time is up."""
    folder = service.processes.folder
    config = folder / f"schemathesis-{caller}.toml"
    config.write_text(_config(service, caller))
    tally = folder / f"answers-{caller}.json"
    token = service.token(caller)
    sign_in = ["--header", f"Authorization: Bearer {token}"] if caller != ANONYMOUS else []
    done = subprocess.run(
        [
            str(BIN / "schemathesis"), "--config-file", str(config), "run", f"{service.url}/api/schema/?format=json",
            "--url", service.url, "--seed", str(seed), "--no-color", *sign_in,
            "--max-time", str(seconds), "--max-examples", str(examples),
        ],
        check=False, cwd=folder, env=_environment(service, tally),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return Round(done.returncode == 0, done.stdout, json.loads(tally.read_text()))


def _environment(service: Service, tally: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    known = {
        "accounts": service.accounts,
        "users": service.users,
        "kept": service.kept,
        "changed": [CHANGED],
    }
    told = {"FUZZ_WORLD": json.dumps(known), "FUZZ_ANSWERS": str(tally)}
    return {**kept, **told, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}


def _config(service: Service, caller: str) -> str:
    """Return the configuration: what exists is among what is generated, and what can't be asked of an operation."""
    words = {
        "triggers": service.triggers,
        "users": service.users,
        "machines": [*service.machines, *service.users],
        "triggered": [KEPT],
        "workflows": [KEPT, CHANGED],
    }
    lines = [
        f"hooks = {_toml(str(HOOKS))}",
        "continue-on-failure = true",
        "request-timeout = 20",
        "warnings = false",
        # PostgreSQL holds no NUL: it is refused in the same words everywhere (tests/integration/api/test_bad_input.py).
        "[generation]",
        "allow-x00 = false",
        'database = "none"',
        "[checks]",
        f"positive_data_acceptance.expected-statuses = {_toml(ACCEPTED)}",
        f"negative_data_rejection.expected-statuses = {_toml(REJECTED)}",
        *(line for name, values in words.items() for line in (f"[dictionaries.{name}]", f"values = {_toml(values)}")),
        *_operation("tag", ["Triggers", "Steps"], **{"path.id": "triggers", "body.workflow": "triggered"}),
        *_operation("operation-id", ["triggers_bulk_create"], **{"query.workflow": "triggered"}),
        *_operation("tag", ["Users"], **{"path.id": "users"}),
        *_operation("tag", ["API keys"], **{"path.user_id": "machines"}),
        *_operation("tag", ["Workflows"], **{"path.id": "workflows"}),
    ]
    lines += [
        "# Its very answer is that the body is wrong: 200.",
        "[[operations]]",
        'include-operation-id = "workflows_validate_create"',
        "checks.negative_data_rejection.enabled = false",
    ]
    for operation, reason in BEYOND_A_SCHEMA.items():
        lines += [
            f"# {reason}",
            "[[operations]]",
            f"include-operation-id = {_toml(operation)}",
            "checks.positive_data_acceptance.enabled = false",
        ]
    return "\n".join(lines) + "\n"


def _operation(by: str, names: list[str], **dictionaries: str) -> list[str]:
    bound = [
        f'parameters."{place}" = {{ dictionary = "{name}", probability = 0.5 }}' for place, name in dictionaries.items()
    ]
    return ["[[operations]]", f"include-{by} = {_toml(names)}", *bound]


def _toml(value: Any) -> str:
    return json.dumps(value)


def seed_from_environment() -> int:
    """Return FUZZ_SEED, or a new one."""
    return int(os.environ.get("FUZZ_SEED") or int.from_bytes(os.urandom(4), sys.byteorder))
