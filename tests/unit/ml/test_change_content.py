"""What changes say of themselves is compared with what the alerts say."""

from __future__ import annotations

from ml.changes.content import in_common

TROUBLE = "CheckoutQueueBacklog: the invoice queue of checkout grows, consumers are throttled"


def test_the_change_that_speaks_of_the_trouble_comes_first() -> None:
    changes = [
        "Deploy checkout 12: new colours of buttons",
        "Deploy checkout 13: invoice consumers read their queue in batches",
        "Scale mailer to 3",
    ]
    found = in_common(changes, TROUBLE, names=["checkout"])
    assert max(found) == found[1] > 0.5
    assert found[0] < 0.1


def test_the_name_of_a_service_is_no_content() -> None:
    assert in_common(["Deploy checkout"], TROUBLE, names=["checkout"]) == [0.0]


def test_a_word_of_every_change_says_little() -> None:
    common = in_common(["invoice one"] * 9, TROUBLE)[0]
    rare = in_common(["invoice one", *["something"] * 8], TROUBLE)[0]
    assert rare > 3 * common


def test_no_change_and_no_text_are_fine() -> None:
    assert in_common([], TROUBLE) == []
    assert in_common(["", "invoice"], "") == [0.0, 0.0]
