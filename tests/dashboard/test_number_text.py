"""Numbers as pages write them."""

import pytest

from dashboard.number_text import percent, price, share


@pytest.mark.parametrize(
    ("value", "text"), [(0.012345, "+1.23 %"), (-0.5, "-50.00 %"), (0.0, "+0.00 %"), (None, "-")]
)
def test_returns_have_a_sign_and_two_decimals(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_shares_and_prices_have_none() -> None:
    assert share(0.525) == "52.5 %"
    assert price(1234.5) == "1,234.50"
    assert price(None) == "-"
