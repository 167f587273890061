"""The benchmark of the monitor's evidence, on few and short markets."""

import numpy as np
import pytest

from benchmarks import degradation


def test_targets_are_the_returns_of_the_next_sessions() -> None:
    returns = np.arange(8.0).reshape(4, 2)
    assert degradation.targets(returns, 2)[:2].tolist() == [[6.0, 8.0], [10.0, 12.0]]
    assert np.isnan(degradation.targets(returns, 2)[2:]).all()


def test_a_market_is_known_before_it_moves() -> None:
    market = degradation.market(0, 600, 500)
    again = degradation.market(0, 600, 500)
    assert np.array_equal(market.returns, again.returns)
    scaled = market.returns / market.deviation
    assert scaled.std() == pytest.approx(1, abs=0.15)
    # Volatility clusters: large moves follow large ones.
    sizes = np.abs(market.returns[:, 0])
    assert np.corrcoef(sizes[1:], sizes[:-1])[0, 1] > 0


def test_what_is_bad_is_found_and_what_is_not_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(degradation, "TRAINED", 300)
    monkeypatch.setattr(degradation, "HELD_OUT", 200)
    monkeypatch.setattr(degradation, "LIVE", 300)
    report = degradation.measure(3, (1,))
    rows = {row[1]: row[3:] for row in report.rows}
    assert rows["as on the hold-out"][0] == "0.0%"
    assert rows["no better"][0] == "0.0%"
    assert rows["forecasts of noise, a deviation"][0] == "100.0%"
    assert int(rows["forecasts of noise, a deviation"][1]) < 150
    assert all("met" in finding for finding in report.findings)
