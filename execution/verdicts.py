"""From a provider's answer to a finished step and the engine's outcome: sent, again later, or failed for good."""

from datetime import datetime

from channels.contract import SendError
from execution import engine
from execution.expiry import EXPIRED, is_past, not_again
from execution.retry import delay_after
from execution.sending import Answer
from execution.states import StepStatus, check_step_move
from execution.storable import LONGEST_NAME, storable
from execution.work import Result, Send, StepError, failed, outcome_unknown, succeeded
from workflows.nodes import OnDoubt


def verdict(answer: Answer, *, now: datetime, dice: float) -> Result:
    """Complete the answer's step and say how the run goes on. `dice`, from 0 to 1, spreads retries."""
    step, run = answer.send.step, answer.send.run
    step.finished_at = answer.finished_at
    if answer.missing_variables:
        step.output["missing_variables"] = [storable(name, longest=LONGEST_NAME) for name in answer.missing_variables]
    if answer.error is not None:
        return _failure(answer.send, answer.error, now=now, dice=dice)
    assert answer.receipt is not None  # noqa: S101  # an answer holds one of the two
    _move(answer.send, StepStatus.SUCCEEDED)
    step.provider = answer.receipt.provider
    step.message_id = storable(answer.receipt.message_id, longest=LONGEST_NAME)
    step.output |= {
        "message_id": step.message_id,
        "provider": step.provider,
        "sent_at": answer.finished_at.isoformat(),
    }
    run.outputs[step.node_id] = step.output
    return Result(run, step.node_id, step, succeeded(run, step.node_id))


def _failure(send: Send, error: SendError, *, now: datetime, dice: float) -> Result:
    step, run = send.step, send.run
    described: StepError = {
        "code": error.code,
        "message": storable(error.message),
        "is_transient": error.is_transient,
    }
    if error.is_in_doubt:
        described["is_in_doubt"] = True
    step.error = described
    history = run.history[step.node_id]
    history.attempts = step.attempt
    if error.is_in_doubt and send.node.on_doubt is OnDoubt.HOLD:
        _move(send, StepStatus.IN_DOUBT)
        return Result(run, step.node_id, step, engine.Failed(), outcome_unknown(step, doubts=history.doubts + 1))
    _move(send, StepStatus.FAILED)
    history.first_failed_at = history.first_failed_at or step.finished_at
    wait = delay_after(
        send.node.retry,
        failures=run.state.ready[step.node_id].failures + 1,
        is_transient=error.is_transient,
        retry_after=error.retry_after,
        dice=dice,
    )
    if wait is not None and send.send_by is not None and is_past(send.send_by, now + wait):
        # To wait for an attempt that would be dropped helps nobody, least of all a fallback behind this node.
        words = f"{not_again(send.send_by, retry_at=now + wait)} {error.message}"
        message = storable(f"{words} This attempt may have been sent." if error.is_in_doubt else words)
        described, wait = {"code": EXPIRED, "message": message, "is_transient": False}, None
    outcome = failed(run, send.node, step, at=now) if wait is None else engine.Retrying(now + wait)
    return Result(run, step.node_id, step, outcome, described)


def _move(send: Send, status: StepStatus) -> None:
    check_step_move(send.step.status, status)
    send.step.status = status
