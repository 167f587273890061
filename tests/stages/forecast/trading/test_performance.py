import numpy as np
import numpy.typing as npt
import pytest

from stages.forecast.trading import performance
from stages.forecast.trading.account import Account

Array = npt.NDArray[np.float64]


def flat(returns: Array) -> Account:
    return Account(returns, np.zeros_like(returns))


def wild(rng: np.random.Generator, sessions: int, mean: float = 0.0004) -> Array:
    """Returns with fat tails, calm and wild months."""
    scale = np.repeat(rng.choice([0.006, 0.018], -(-sessions // 21)), 21)[:sessions]
    returns: Array = mean + scale * rng.standard_t(4, sessions) / np.sqrt(2)
    return returns


def test_the_numbers_of_a_small_account() -> None:
    account = Account(np.array([0.1, -0.2, 0.0, 0.05]), np.array([1.0, 0.5, 0.0, 0.5]))
    scores = performance.performance(account)
    worth = 1.1 * 0.8 * 1.05
    assert scores["return"] == pytest.approx(worth ** (252 / 4) - 1)
    assert scores["max_drawdown"] == pytest.approx(-0.2)
    assert scores["turnover"] == 126
    # Two gains of three sessions that moved it.
    assert scores["hit_rate"] == pytest.approx(2 / 3)
    returns = account.returns
    assert scores["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * 252**0.5)


def test_a_loss_from_the_start_counts() -> None:
    assert performance.performance(flat(np.array([-0.1, 0.05])))["max_drawdown"] == pytest.approx(
        -0.1
    )


def test_an_account_that_never_trades_has_no_ratio() -> None:
    idle, own = np.zeros(50), wild(np.random.default_rng(0), 50)
    scores = performance.performance(flat(idle))
    assert (scores["sharpe"], scores["hit_rate"], scores["return"]) == (None, None, 0)
    drawn = performance.draws(50, 1, seed=0)
    assert performance.sharpe_interval(idle, drawn) == (None, None)
    assert performance.sharpe_gain(idle, own, 1) == (None, None)
    assert performance.gain_over(flat(idle), {"own": flat(own)}, 1) == (None, None)


@pytest.mark.parametrize(
    ("sessions", "horizon", "block"), [(500, 1, 1), (500, 63, 63), (100, 63, 25), (2, 5, 1)]
)
def test_draws_are_blocks_of_the_horizon(sessions: int, horizon: int, block: int) -> None:
    drawn = performance.draws(sessions, horizon, seed=3)
    assert drawn.shape == (performance.DRAWS, sessions)
    steps = (np.diff(drawn, axis=1) % sessions) == 1
    inside = (np.arange(1, sessions) % block) != 0
    assert steps[:, inside].all()
    assert np.array_equal(drawn, performance.draws(sessions, horizon, seed=3))
    assert not np.array_equal(drawn, performance.draws(sessions, horizon, seed=4))
    # Each session is as likely as any other.
    counts = np.bincount(drawn.ravel(), minlength=sessions) / performance.DRAWS
    assert counts == pytest.approx(np.ones(sessions), abs=5 * np.sqrt(block / performance.DRAWS))


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    drawn = performance.draws(400, 5, seed=0)
    truth = 0.0006 / 0.0134 * np.sqrt(252)  # the deviation of `wild`
    hits = 0
    for _ in range(100):
        lower, upper = performance.sharpe_interval(wild(rng, 400, mean=0.0006), drawn)
        assert lower is not None
        assert upper is not None
        hits += lower < truth < upper
    # 90 of 100, four standard deviations below.
    assert hits >= 78


@pytest.mark.parametrize("horizon", [1, 21])
def test_equal_accounts_differ_as_seldom_as_the_level_says(horizon: int) -> None:
    rng = np.random.default_rng(horizon)
    p_values = []
    for _ in range(600):
        both = wild(rng, 500)
        _, p_value = performance.sharpe_gain(both + wild(rng, 500), both + wild(rng, 500), horizon)
        assert p_value is not None
        p_values.append(p_value)
    # 5 percent of 600, four standard deviations either way.
    assert 0.015 <= np.mean(np.array(p_values) < 0.05) <= 0.086


def test_a_gain_that_is_there_is_found_and_leverage_is_none() -> None:
    rng = np.random.default_rng(5)
    own = wild(rng, 2000)
    gain, p_value = performance.sharpe_gain(own + 0.0005, own, 5)
    assert gain == pytest.approx(0.0005 / own.std(ddof=1) * 252**0.5, rel=1e-9)
    assert p_value is not None
    assert p_value < 1e-4
    gain, p_value = performance.sharpe_gain(own / 2, own, 5)
    assert gain == pytest.approx(0)
    assert p_value == 1


def test_whoever_beats_holding_beats_every_way_to_hold() -> None:
    rng = np.random.default_rng(6)
    own = wild(rng, 1000, mean=0.002)
    weak, strong = flat(wild(rng, 1000, mean=-0.001)), flat(own[::-1] + 0.0001)
    alone, _ = performance.gain_over(flat(own), {"weak": weak}, 1)
    gain, p_value = performance.gain_over(flat(own), {"weak": weak, "strong": strong}, 1)
    assert alone is not None
    assert gain is not None
    assert alone > 0 > gain
    assert p_value == performance.sharpe_gain(own, strong.returns, 1)[1]
