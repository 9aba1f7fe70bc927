"""Intents: each step is stored as `running` before its message is sent (DESIGN section 6, T3)."""

from collections.abc import Sequence

from django.db import transaction

from channels.registry import channel_for
from execution.claims import Claim, lock_held
from execution.rows import insert_steps
from execution.work import Send


@transaction.atomic
def write_intents(claim: Claim, sends: Sequence[Send]) -> list[Send]:
    """Store the steps of what the claim still holds, and return those sends; the others must not be sent."""
    if not sends:
        return []
    held = lock_held(claim, [send.run.id for send in sends])
    allowed = [send for send in sends if send.run.id in held]
    for send in allowed:
        send.step.claim_id = claim.id
        send.step.provider = channel_for(send.node.type).provider
    insert_steps([send.step for send in allowed])
    return allowed
