"""`make run`'s process: ready with a carried-out example, stopped by signals, going on where it stopped."""

import re
import signal
import sys
from typing import Any

import pytest

from tests.e2e.client import Client
from tests.e2e.conftest import start
from tests.e2e.processes import Processes, answers, wait_until
from tests.factories import ANN
from tests.fakes.smtp import FakeSmtp

pytestmark = pytest.mark.e2e

SLOW: dict[str, Any] = {
    "key": "slow",
    "name": "Slow",
    "entry_node_id": "wait",
    "nodes": [{"id": "wait", "type": "delay", "delay_ms": 3000}, {"id": "text", "type": "sms", "body": "Late"}],
    "edges": [{"from": "wait", "to": "text"}],
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_newcomer_sees_the_example_carried_out_and_can_stop_it(
    processes: Processes, port: int, number: signal.Signals
) -> None:
    start(processes, "first")

    log = processes.log("first")
    steps = re.findall(r"^ +[\d.]+ s +(\w+) +(?:email|sms|delay) +(\w+)", log, re.MULTILINE)
    assert [node for node, status in steps if status == "succeeded"] == ["confirm", "offer", "wait", "text", "feedback"]
    outbox = sorted(path.name.split(".", 1)[1] for path in (processes.folder / "var" / "outbox").iterdir())
    assert outbox == ["confirm.eml", "feedback.eml", "offer.eml", "text.sms.json"]
    assert answers(f"http://127.0.0.1:{port}/readyz")
    assert "password: notifyflow\n" in log
    assert processes.stop("first", number) == 0
    assert "Traceback" not in processes.log("first")


def test_what_was_not_finished_goes_on_at_the_next_start(processes: Processes, port: int) -> None:
    start(processes, "first")
    client = Client(f"http://127.0.0.1:{port}", username="admin", password="notifyflow")
    client.post("workflows/", SLOW)
    client.post("workflows/slow/activate/")
    recipient = {"phone": "+14155552671"}
    _, trigger = client.post("triggers/", {"workflow": "slow", "idempotency_key": "k", "recipient": recipient})
    assert processes.stop("first", signal.SIGINT) == 0

    start(processes, "second")

    client = Client(f"http://127.0.0.1:{port}", username="admin", password="notifyflow")
    path = f"triggers/{trigger['id']}/"
    wait_until(lambda: client.get(path)[1]["status"] == "completed", seconds=20, what="the trigger is completed")


def test_killed_in_the_middle_it_goes_on_at_the_next_start(processes: Processes, port: int) -> None:
    start(processes, "first")
    client = Client(f"http://127.0.0.1:{port}", username="operator", password="notifyflow")
    ids = []
    for number in range(20):
        body = {
            "workflow": "order-shipped",
            "idempotency_key": f"k{number}",
            "recipient": {"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"},
            "context": {"order": {"id": number, "total": 60}},
        }
        ids.append(client.post("triggers/", body)[1]["id"])
    processes.kill("first")

    start(processes, "second")

    client = Client(f"http://127.0.0.1:{port}", username="operator", password="notifyflow")

    def are_done() -> bool:
        return {client.get(f"triggers/{each}/")[1]["status"] for each in ids} == {"completed"}

    wait_until(are_done, seconds=30, what="all triggers are completed")
    outbox = processes.folder / "var" / "outbox"
    assert all((outbox / f"{each}.feedback.eml").exists() for each in ids)


def test_a_second_signal_ends_it_at_once(processes: Processes, port: int) -> None:
    with FakeSmtp() as smtp:
        start(processes, "first", EMAIL_URL=f"smtp://127.0.0.1:{smtp.port}")
        smtp.hang("BODY", 60)
        client = Client(f"http://127.0.0.1:{port}", username="operator", password="notifyflow")
        body = {"workflow": "order-shipped", "idempotency_key": "k", "recipient": ANN, "context": {"order": {"id": 1}}}
        client.post("triggers/", body)
        wait_until(lambda: smtp.open_connections == 1, seconds=20, what="a message is on its way")
        first = processes.running["first"]

        first.send_signal(signal.SIGINT)
        wait_until(lambda: "Once more ends it at once" in processes.log("first"), seconds=20, what="it is stopping")
        assert first.poll() is None

        assert processes.stop("first", signal.SIGTERM) == -signal.SIGTERM
    start(processes, "second")
    assert "Going on with 1 trigger(s) that the last run had under way" in processes.log("second")


def test_two_services_on_one_folder_are_refused_in_one_sentence(processes: Processes) -> None:
    start(processes, "first")

    second = processes.start("second", sys.executable, "manage.py", "embedded")

    assert second.wait(30) == 1
    assert "Another NotifyFlow runs on" in processes.log("second")
    assert "Traceback" not in processes.log("second")


def test_a_changed_password_stays_and_the_example_runs_all_the_same(processes: Processes, port: int) -> None:
    start(processes, "first")
    change_operator(processes, "set_password('my own words')")
    assert processes.stop("first") == 0

    start(processes, "second")

    assert "password: notifyflow, but for operator with one of their own" in processes.log("second")
    assert re.search(r"feedback +email +succeeded", processes.log("second"))
    Client(f"http://127.0.0.1:{port}", username="operator", password="my own words")


def test_an_example_that_fails_is_a_warning(processes: Processes, port: int) -> None:
    start(processes, "first")
    change_operator(processes, "is_active = False")
    assert processes.stop("first") == 0

    start(processes, "second")

    assert "The example did not run to its end" in processes.log("second")
    assert "Traceback" not in processes.log("second")
    assert answers(f"http://127.0.0.1:{port}/healthz")


def test_nothing_is_sent_to_anybody_through_a_real_provider(processes: Processes) -> None:
    start(processes, "first", EMAIL_URL="smtp://127.0.0.1:1", DEMO_PASSWORD="given words")

    log = processes.log("first")
    assert "Email   sent through smtp" in log
    assert "The example is left out" in log
    assert "Triggering" not in log
    assert "password: the one in DEMO_PASSWORD" in log
    assert not (processes.folder / "var" / "outbox").exists()


def change_operator(processes: Processes, change: str) -> None:
    """Change the demo user who triggers the example."""
    look_up = "from accounts.models import User; user = User.objects.get(username='operator')"
    processes.manage("shell", "--no-imports", "-c", f"{look_up}; user.{change}; user.save()")
