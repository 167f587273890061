"""What each feature adds to a forecast."""

import pytest

from dashboard.charts.contribution_chart import MOST, contribution_chart


def test_bars_add_up_to_all_contributions() -> None:
    contributions = {f"f{place}": (-1) ** place * 0.01 / (place + 1) for place in range(MOST + 3)}
    (bars,) = contribution_chart({**contributions, "idle": 0.0}).data
    assert bars.y[:2] == ("f0", "f1")
    assert bars.y[-1] == "other features (3)"
    assert bars.x[:2] == pytest.approx((1.0, -0.5))
    assert sum(bars.x) == pytest.approx(100 * sum(contributions.values()))


def test_names_are_shown_letter_by_letter() -> None:
    (bars,) = contribution_chart({"<i>vol</i>": 0.001, "idle": 0.0}).data
    assert bars.y == ("&lt;i&gt;vol&lt;/i&gt;",)
    assert bars.text == ("+0.100",)
