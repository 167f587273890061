"""Which promotion is the last, from the decisions on record."""

from datetime import UTC, datetime

from monitor.retraining import promoted_model
from monitor.retraining.decisions import Decision


def day(number: int) -> datetime:
    return datetime(2013, 1, number, 22, tzinfo=UTC)


def promoted(number: int) -> Decision:
    return Decision(f"p{number}", day(number), "drift", "promoted", "all gates passed")


def rolled_back(number: int, promotion: Decision) -> Decision:
    document = {"promotion": promotion.id}
    return Decision(
        f"r{number}", day(number), "rollback", "rolled back", "worse", document=document
    )


def test_the_last_promotion_stands_until_it_is_rolled_back() -> None:
    one, two = promoted(1), promoted(2)
    shadow = Decision("s", day(3), "drift", "shadow", "too few rows")
    assert promoted_model.last_promotion([]) is None
    assert promoted_model.last_promotion([one, two, shadow]) == two
    # One step back only: what was champion before the first has no shadow.
    assert promoted_model.last_promotion([one, two, shadow, rolled_back(4, two)]) is None
    assert promoted_model.last_promotion([one, two, rolled_back(2, two)]) is None


def test_a_challenger_that_waited_is_promoted_when_it_was_decided_not_when_it_was_trained() -> None:
    waited = Decision("w", day(1), "manual", "shadow", "too few rows")
    other = promoted(2)
    back = rolled_back(3, other)
    decided = waited.turned("promoted", "all gates passed", day(5))
    assert promoted_model.last_promotion([decided, other, back]) == decided
