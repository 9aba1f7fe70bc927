"""What a single node may say."""

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import EMAIL, SMS, definition
from tests.unit.workflows.reading import faults, found_in, parsed_delay, parsed_message
from workflows.node_parsing import LONGEST_TTL_S
from workflows.nodes import DelayNode, OnDoubt, OnFailure, RetryPolicy
from workflows.retry_policies import LONGEST_INTERVAL_S

ANN = {"recipient": {"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"}}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def email(**fields: object) -> dict[str, Any]:
    return {"id": "it", "type": "email", "subject": "x", "body": "y", **fields}


def delay(**fields: object) -> dict[str, Any]:
    return {"id": "it", "type": "delay", **fields}


def without(node: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name not in names}


class TestIdAndType:
    @pytest.mark.parametrize("node_id", ["a", "Z", "a-b_c9", "aa", "mail-", "x" * 64])
    def test_an_id_is_a_letter_then_letters_digits_and_two_signs(self, node_id: str) -> None:
        assert parsed_message(EMAIL, id=node_id).id == node_id

    @pytest.mark.parametrize(
        "node_id", ["", "1", "-a", "_a", "a b", "a.b", "a>b", "é", "a\n", "aé", "a\u0663", "x" * 65, "x" * 100_000]
    )
    def test_another_id_is_refused(self, node_id: str) -> None:
        node = {**EMAIL, "id": node_id}

        assert [(fault.path, fault.code) for fault in faults(definition(node) | {"entry_node_id": "a"})] == [
            ("nodes.0.id", "invalid_id")
        ]

    @pytest.mark.parametrize("name", ["id", "type"])
    def test_both_are_required(self, name: str) -> None:
        assert found_in(without(email(), name))[0] == (f"nodes.1.{name}", "required")

    @pytest.mark.parametrize("name", ["id", "type"])
    @pytest.mark.parametrize("value", [5, 1.5, True, None, [], {}, ["it"]])
    def test_both_are_strings(self, name: str, value: object) -> None:
        assert found_in(email(**{name: value})) == [(f"nodes.1.{name}", "invalid_type")]

    def test_an_empty_node_lacks_both(self) -> None:
        assert found_in({}) == [("nodes.1.id", "required"), ("nodes.1.type", "required")]

    @pytest.mark.parametrize("type_name", ["", "push", "Email", "email ", "delays"])
    def test_an_unknown_type_is_refused_whatever_else_the_node_says(self, type_name: str) -> None:
        assert found_in({"id": "it", "type": type_name, "url": "x"}) == [("nodes.1.type", "unknown_type")]

    def test_the_known_types_are_named(self) -> None:
        [fault] = faults(definition({"id": "it", "type": "push"}))

        assert fault.message == "Known node types are: email, sms, delay."


class TestDelay:
    @pytest.mark.parametrize(
        ("fields", "wait"),
        [
            ({"delay_ms": 0}, timedelta(0)),
            ({"delay_ms": 1}, timedelta(milliseconds=1)),
            ({"delay_ms": 86_400_000}, timedelta(days=1)),
            ({"delay_ms": 3660 * 86_400_000}, timedelta(days=3660)),
            ({"duration": "PT24H"}, timedelta(hours=24)),
            ({"duration": "P7D"}, timedelta(days=7)),
        ],
    )
    def test_it_lasts_as_long_as_said(self, fields: dict[str, Any], wait: timedelta) -> None:
        assert parsed_delay(**fields) == DelayNode("wait", wait)

    @pytest.mark.parametrize(
        "fields",
        [{}, {"delay_ms": 5, "duration": "PT1S"}, {"delay_ms": None, "duration": "PT1S"}],
        ids=["neither", "both", "both, one null"],
    )
    def test_it_has_exactly_one_of_its_two_fields(self, fields: dict[str, Any]) -> None:
        assert found_in(delay(**fields)) == [("nodes.1", "invalid_delay")]

    @pytest.mark.parametrize("value", [True, False, 1.5, 5.0, "5", None, [], {}, [5]])
    def test_milliseconds_are_an_integer(self, value: object) -> None:
        assert found_in(delay(delay_ms=value)) == [("nodes.1.delay_ms", "invalid_type")]

    @pytest.mark.parametrize("value", [-1, -(10**30), 3660 * 86_400_000 + 1, 10**15, 10**30, 10**1000])
    def test_milliseconds_are_neither_negative_nor_endless(self, value: int) -> None:
        assert found_in(delay(delay_ms=value)) == [("nodes.1.delay_ms", "invalid_delay")]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (-1, "A delay can't be negative."),
            (-(10**30), "A delay can't be negative."),
            (10**30, "A delay can't be longer than 3660 days."),
        ],
    )
    def test_the_fault_says_which(self, value: int, message: str) -> None:
        assert [fault.message for fault in faults(definition(delay(delay_ms=value)))] == [message]

    @pytest.mark.parametrize("value", [5, 0, 1.5, True, None, [], {}])
    def test_a_duration_is_a_string(self, value: object) -> None:
        assert found_in(delay(duration=value)) == [("nodes.1.duration", "invalid_type")]

    @pytest.mark.parametrize("value", ["", "PT", "P1M", "-P1D", "24 hours", "P99999D"])
    def test_a_duration_is_iso_8601(self, value: str) -> None:
        assert found_in(delay(duration=value)) == [("nodes.1.duration", "invalid_delay")]

    def test_it_has_no_other_fields(self) -> None:
        assert found_in(delay(delay_ms=1, to="x", retry={})) == [
            ("nodes.1.retry", "unknown_field"),
            ("nodes.1.to", "unknown_field"),
        ]


class TestMessage:
    def test_its_templates_are_compiled(self) -> None:
        node = parsed_message(email(subject="For {{ recipient.name }}", html_body="<b>{{ tag }}</b>"))

        texts = {name: template.render({**ANN, "tag": "<i>"}).text for name, template in node.templates.items()}
        assert (node.id, node.type) == ("it", "email")
        assert texts == {
            "to": "ann@example.org",
            "subject": "For Ann",
            "body": "y",
            "html_body": "<b>&lt;i&gt;</b>",
        }

    @pytest.mark.parametrize(
        ("node", "default"), [(EMAIL, "ann@example.org"), (SMS, "+14155552671")], ids=["email", "sms"]
    )
    def test_it_goes_to_the_recipient_unless_told_otherwise(self, node: dict[str, Any], default: str) -> None:
        assert parsed_message(node).templates["to"].render(ANN).text == default
        assert parsed_message(node, to="{{ boss }}").templates["to"].render({"boss": "Bo"}).text == "Bo"

    @pytest.mark.parametrize("body", ["body", "html_body"])
    def test_an_email_has_a_body_of_either_kind(self, body: str) -> None:
        node = parsed_message({**without(email(), "body"), body: "z"})

        assert list(node.templates) == ["to", "subject", body]

    def test_an_email_without_a_body_is_refused(self) -> None:
        assert found_in(without(email(), "body")) == [("nodes.1", "required")]

    def test_the_fault_names_the_choice(self) -> None:
        [fault] = faults(definition(without(email(), "body")))

        assert fault.message == "At least one of these fields is required: body, html_body."

    @pytest.mark.parametrize(
        ("node", "name"), [(email(), "subject"), ({**SMS, "id": "it"}, "body")], ids=["email subject", "sms body"]
    )
    def test_what_its_channel_needs_is_required(self, node: dict[str, Any], name: str) -> None:
        assert found_in(without(node, name)) == [(f"nodes.1.{name}", "required")]

    @pytest.mark.parametrize("name", ["to", "subject", "body", "html_body"])
    @pytest.mark.parametrize("value", [5, 1.5, True, None, [], {}, ["x"]])
    def test_templates_are_strings(self, name: str, value: object) -> None:
        assert found_in(email(**{name: value})) == [(f"nodes.1.{name}", "invalid_type")]

    @pytest.mark.parametrize("name", ["to", "subject", "body", "html_body"])
    @pytest.mark.parametrize(("source", "line"), [("{{ a", 1), ("x\ny\n{% if %}{% endif %}", 3), ("\n{% nope %}", 2)])
    def test_a_template_that_is_no_liquid_is_refused_with_its_line(self, name: str, source: str, line: int) -> None:
        assert found_in(email(**{name: source})) == [(f"nodes.1.{name}", "liquid_syntax")]
        [fault] = faults(definition(email(**{name: source})))
        assert fault.message.startswith(f"Line {line}: ")

    def test_it_has_only_the_fields_of_its_channel(self) -> None:
        assert found_in({**SMS, "id": "it", "subject": "x", "delay_ms": 5}) == [
            ("nodes.1.delay_ms", "unknown_field"),
            ("nodes.1.subject", "unknown_field"),
        ]

    def test_a_doubtful_send_is_repeated_unless_told_otherwise(self) -> None:
        assert parsed_message(EMAIL).on_doubt is OnDoubt.RESEND
        assert parsed_message(EMAIL, on_doubt="resend").on_doubt is OnDoubt.RESEND
        assert parsed_message(EMAIL, on_doubt="hold").on_doubt is OnDoubt.HOLD

    @pytest.mark.parametrize("value", ["", "HOLD", "hold ", "drop"])
    def test_another_word_for_doubt_is_refused(self, value: str) -> None:
        assert found_in(email(on_doubt=value)) == [("nodes.1.on_doubt", "invalid_choice")]

    @pytest.mark.parametrize("value", [5, True, None, [], {}, ["hold"]])
    def test_the_word_for_doubt_is_a_string(self, value: object) -> None:
        assert found_in(email(on_doubt=value)) == [("nodes.1.on_doubt", "invalid_type")]

    def test_a_failure_ends_the_workflow_unless_told_otherwise(self) -> None:
        assert parsed_message(EMAIL).on_failure is OnFailure.FAIL
        assert parsed_message(EMAIL, on_failure="fail").on_failure is OnFailure.FAIL
        assert parsed_message(EMAIL, on_failure="continue").on_failure is OnFailure.CONTINUE

    @pytest.mark.parametrize("value", ["", "CONTINUE", "ignore", "skip"])
    def test_another_word_for_failure_is_refused(self, value: str) -> None:
        assert found_in(email(on_failure=value)) == [("nodes.1.on_failure", "invalid_choice")]

    @pytest.mark.parametrize("value", [5, True, None, [], {}])
    def test_the_word_for_failure_is_a_string(self, value: object) -> None:
        assert found_in(email(on_failure=value)) == [("nodes.1.on_failure", "invalid_type")]

    @pytest.mark.parametrize("value", [1, 1.5, 300, LONGEST_TTL_S])
    def test_it_may_be_worth_sending_for_so_many_seconds(self, value: float) -> None:
        assert parsed_message(EMAIL, ttl_s=value).ttl == seconds(value)
        assert parsed_message(EMAIL).ttl is None

    @pytest.mark.parametrize(
        "value", [0, 0.9, -1, LONGEST_TTL_S + 1, 10**1000, float("nan"), float("inf"), True, "300", None, [], {}]
    )
    def test_another_time_to_live_is_refused(self, value: object) -> None:
        assert found_in(email(ttl_s=value)) == [("nodes.1.ttl_s", "out_of_range")]

    @pytest.mark.parametrize("name", ["retry", "on_doubt", "on_failure", "ttl_s"])
    def test_a_delay_has_no_such_field(self, name: str) -> None:
        assert found_in(delay(delay_ms=5, **{name: "fail"})) == [(f"nodes.1.{name}", "unknown_field")]


class TestRetry:
    @pytest.mark.parametrize(
        ("raw", "policy"),
        [
            ({}, RetryPolicy(3, seconds(2), 2.0, seconds(3600), ())),
            ({"max_attempts": 1}, RetryPolicy(max_attempts=1)),
            ({"max_attempts": 20}, RetryPolicy(max_attempts=20)),
            ({"backoff": {}}, RetryPolicy()),
            ({"backoff": {"base_s": 0.5}}, RetryPolicy(base=seconds(0.5))),
            ({"backoff": {"factor": 1}}, RetryPolicy(factor=1.0)),
            ({"backoff": {"factor": 100}}, RetryPolicy(factor=100.0)),
            ({"backoff": {"cap_s": LONGEST_INTERVAL_S}}, RetryPolicy(cap=timedelta(days=7))),
            (
                {"max_attempts": 7, "backoff": {"base_s": 0, "factor": 1.5, "cap_s": 0}},
                RetryPolicy(7, seconds(0), 1.5, seconds(0)),
            ),
            (
                {"max_attempts": 5, "intervals_s": [60, 0, 0.5, LONGEST_INTERVAL_S]},
                RetryPolicy(5, intervals=(seconds(60), seconds(0), seconds(0.5), timedelta(days=7))),
            ),
        ],
    )
    def test_it_is_as_said_and_else_by_default(self, raw: dict[str, Any], policy: RetryPolicy) -> None:
        assert parsed_message(EMAIL, retry=raw).retry == policy

    def test_it_may_be_left_out(self) -> None:
        assert parsed_message(SMS).retry == RetryPolicy()

    @pytest.mark.parametrize("value", [5, True, None, [], [60]])
    def test_it_is_an_object(self, value: object) -> None:
        assert found_in(email(retry=value)) == [("nodes.1.retry", "invalid_type")]

    @pytest.mark.parametrize(
        ("raw", "path", "code"),
        [
            ({"attempts": 3}, "attempts", "unknown_field"),
            ({"backoff": {"jitter": 1}}, "backoff.jitter", "unknown_field"),
            ({"max_attempts": 0}, "max_attempts", "out_of_range"),
            ({"max_attempts": -1}, "max_attempts", "out_of_range"),
            ({"max_attempts": 21}, "max_attempts", "out_of_range"),
            ({"max_attempts": 10**1000}, "max_attempts", "out_of_range"),
            ({"max_attempts": True}, "max_attempts", "invalid_type"),
            ({"max_attempts": 3.0}, "max_attempts", "invalid_type"),
            ({"max_attempts": "3"}, "max_attempts", "invalid_type"),
            ({"max_attempts": None}, "max_attempts", "invalid_type"),
            ({"backoff": None}, "backoff", "invalid_type"),
            ({"backoff": [2, 2]}, "backoff", "invalid_type"),
            ({"backoff": {"base_s": -1}}, "backoff.base_s", "out_of_range"),
            ({"backoff": {"base_s": True}}, "backoff.base_s", "out_of_range"),
            ({"backoff": {"base_s": "2"}}, "backoff.base_s", "out_of_range"),
            ({"backoff": {"base_s": None}}, "backoff.base_s", "out_of_range"),
            ({"backoff": {"cap_s": LONGEST_INTERVAL_S + 1}}, "backoff.cap_s", "out_of_range"),
            ({"backoff": {"cap_s": float("nan")}}, "backoff.cap_s", "out_of_range"),
            ({"backoff": {"cap_s": float("inf")}}, "backoff.cap_s", "out_of_range"),
            ({"backoff": {"factor": 0.9}}, "backoff.factor", "out_of_range"),
            ({"backoff": {"factor": 101}}, "backoff.factor", "out_of_range"),
            ({"backoff": {"factor": True}}, "backoff.factor", "out_of_range"),
            ({"backoff": {"factor": "2"}}, "backoff.factor", "out_of_range"),
            ({"backoff": {"factor": None}}, "backoff.factor", "out_of_range"),
            ({"backoff": {"factor": float("nan")}}, "backoff.factor", "out_of_range"),
            ({"backoff": {"factor": 10**1000}}, "backoff.factor", "out_of_range"),
            ({"intervals_s": None}, "intervals_s", "invalid_type"),
            ({"intervals_s": 60}, "intervals_s", "invalid_type"),
            ({"intervals_s": {"0": 60}}, "intervals_s", "invalid_type"),
            ({"intervals_s": []}, "intervals_s", "empty"),
            ({"intervals_s": [60, -1]}, "intervals_s.1", "out_of_range"),
            ({"intervals_s": [True]}, "intervals_s.0", "out_of_range"),
            ({"intervals_s": ["60"]}, "intervals_s.0", "out_of_range"),
            ({"intervals_s": [None]}, "intervals_s.0", "out_of_range"),
            ({"intervals_s": [[60]]}, "intervals_s.0", "out_of_range"),
            ({"intervals_s": [60, 60, 10**1000]}, "intervals_s.2", "out_of_range"),
        ],
    )
    def test_another_shape_is_refused(self, raw: dict[str, Any], path: str, code: str) -> None:
        assert found_in(email(retry=raw)) == [(f"nodes.1.retry.{path}", code)]

    def test_it_follows_one_schedule_not_two(self) -> None:
        assert found_in(email(retry={"backoff": {}, "intervals_s": [60]})) == [("nodes.1.retry", "invalid_retry")]

    def test_all_its_faults_are_reported_at_once(self) -> None:
        raw = {"max_attempts": 99, "backoff": {"base_s": -1, "cap_s": -1, "factor": 0}, "intervals_s": [-1, -2]}

        assert found_in(email(retry=raw)) == [
            ("nodes.1.retry.max_attempts", "out_of_range"),
            ("nodes.1.retry", "invalid_retry"),
            ("nodes.1.retry.intervals_s.0", "out_of_range"),
            ("nodes.1.retry.intervals_s.1", "out_of_range"),
            ("nodes.1.retry.backoff.base_s", "out_of_range"),
            ("nodes.1.retry.backoff.cap_s", "out_of_range"),
            ("nodes.1.retry.backoff.factor", "out_of_range"),
        ]
