"""The tables of what a run changed."""

from rich.console import Console

from versions.results import differences
from versions.results.changes import SCORES, Pair, Results


def printed(before: Results, after: Results) -> str:
    screen = Console(width=100, color_system=None)
    with screen.capture() as captured:
        differences.show(screen, before, after)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def test_the_difference_is_shown() -> None:
    def row(symbol: str, read: int, rejected: int) -> dict[str, object]:
        reasons = {"no_trade": rejected} if rejected else {}
        remaining = read - rejected
        return {
            "kind": "daily",
            "symbol": symbol,
            "read": read,
            "kept": remaining,
            "rejected": reasons,
        }

    before = Results(
        {"symbols": [row("A", 1000, 0)], "totals": {"daily": {"rejected": {}}}},
        {"A": "2012-12-31"},
        {"short": {"mae": 0.0107, "rmse": 0.0150, "oos_r2": -0.004, "coverage": 0.896}},
        {"raw": (100.0, ())},
    )
    after = Results(
        {
            "symbols": [row("A", 1042, 2), row("B", 7, 0)],
            "totals": {"daily": {"rejected": {"no_trade": 2}}},
        },
        {"A": "2013-02-28", "B": "2013-02-28"},
        {"short": {"mae": 0.0105, "rmse": 0.0150, "oos_r2": 0.0005, "coverage": 0.893}},
        {"raw": (99.9, ("expect_x of low",)), "clean": (100.0, ())},
    )
    assert printed(before, after) == (
        """\
Rows, and how many more than in the last commit
kind   symbol          raw        clean  rejected      newest         was
─────────────────────────────────────────────────────────────────────────
daily  A       1,042 (+42)  1,040 (+40)    2 (+2)  2013-02-28  2012-12-31
daily  B           7 (new)      7 (new)   0 (new)  2013-02-28           -
daily  all     1,049 (+49)  1,047 (+47)    2 (+2)
rejected, no_trade: 2 (+2); see data/clean/rejected.parquet

Scores of the served forecasts on the hold-out
horizon  score                    was       is   change
───────────────────────────────────────────────────────
short    MAE %                  1.070    1.050   -0.020
         RMSE %                 1.500    1.500   +0.000
         OOS R2               -0.0040  +0.0005  +0.0045
         OOS R2 of the folds        -        -        -
         AUC                        -        -        -
         cover %                 89.6     89.3     -0.3

Validation, % that holds
table     was      is  fails
──────────────────────────────────────
raw    100.00   99.90  expect_x of low
clean       -  100.00"""
    )


def test_many_symbols_are_counted() -> None:
    one = Pair(1, 2)
    row = {**dict.fromkeys(differences.COUNTS, one), "newest": Pair(None, None)}
    rows = {("daily", f"S{at}"): row for at in range(30)}
    table = differences.rows_table(rows)
    assert table.row_count == differences.SYMBOLS + 1
    assert str(table.caption) == "and 10 more series"


def test_every_score_that_is_compared_has_a_format() -> None:
    assert set(differences.SHOWN) >= set(SCORES)
