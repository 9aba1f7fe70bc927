"""Keys and ids of workflows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.keys import KEY, is_workflow_id, key_from

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize("key", ["a", "7", "order-shipped", "a_b", "a--b", "2fa", "x" * 100])
def test_a_key_is_made_of_small_letters_digits_and_two_signs(key: str) -> None:
    assert KEY.fullmatch(key) is not None


@pytest.mark.parametrize("key", ["", "-a", "a-", "_a", "a_", "A", "a b", "a.b", "é", "a\n", "\u0663", "x" * 101])
def test_another_key_is_refused(key: str) -> None:
    assert KEY.fullmatch(key) is None


@pytest.mark.parametrize("name", [ID, ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}"])
def test_an_id_is_known_in_every_spelling(name: str) -> None:
    assert is_workflow_id(name) is True


@pytest.mark.parametrize("name", ["", "order-shipped", "1234", ID[:-1], ID + "0", "g" * 32])
def test_a_key_is_no_id(name: str) -> None:
    assert is_workflow_id(name) is False


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Order shipped", "order-shipped"),
        ("  Order   shipped!  ", "order-shipped"),
        ("Bestellung für Ünal", "bestellung-fur-unal"),
        ("2FA code", "2fa-code"),
        ("a_b", "a_b"),
        ("--a--", "a"),
        ("___", "workflow"),
        ("", "workflow"),
        ("注文", "workflow"),
        ("🎉", "workflow"),
        ("x" * 200, "x" * 80),
        ("x" * 79 + " y", "x" * 79),
    ],
)
def test_a_key_is_made_from_the_name(name: str, key: str) -> None:
    assert key_from(name) == key


@given(st.text(st.characters()) | st.text("aA0-_ é.", max_size=120))
def test_a_key_that_was_made_is_a_key_and_leaves_room_for_a_number(name: str) -> None:
    key = key_from(name)

    assert KEY.fullmatch(key) is not None
    assert len(key) <= 80


@pytest.mark.parametrize("name", [ID, ID.replace("-", "")])
def test_a_key_that_was_made_never_looks_like_an_id(name: str) -> None:
    assert is_workflow_id(key_from(name)) is False
