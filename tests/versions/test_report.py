# ruff: noqa: E501  # the tables of the report are as wide as they are
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from stages.common.paths import DATA_DOCS
from stages.quality.data_docs import INDEX
from versions import report

HEADER = (
    "symbol,model,rows,mae,rmse,r2,oos_r2,p_value,direction,auc,f1,precision,recall,brier,"
    "coverage,width,rank_ic,interval_score,crps,crps_skill,crps_p_value"
)
SCORES = f"""{HEADER}
all,zero,2604,0.01032,0.0145,-0.001,-0.0004,,0.48,0.5,0,,0,0.25,0.912,0.0489,,0.066,0.0079,-0.01,0.9
all,mean,2604,0.01031,0.0145,-0.0002,0,,0.52,0.5,0.6,0.5,1,0.25,0.912,0.0489,,0.066,0.0079,0,
all,ridge,2604,0.01029,0.01449,0.001,0.003,0.0001,0.531,0.521,0.6,0.5,0.7,0.2489,0.91,0.0489,0.022,0.0649,0.00781,0.011,0.02
all,stack,2604,0.0103,0.0145,-0.0002,0.0012,0.21,0.521,0.511,0.6,0.5,0.7,0.2499,0.91,0.0489,0.012,0.065,0.00785,0.006,0.04
AAPL,stack,651,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9,0.9
"""
FORECASTS = """symbol,date,target_date,close,forecast,lower,upper,probability,stale
AAPL,2012-12-31,2013-01-02,532.17,0.0012,-0.03,0.031,0.523,false
IBM,2012-12-31,2013-01-02,1191.55,-0.0004,-0.02,0.021,0.487,false
"""

BACKTEST = """{"sessions": 649,
"sign": {"sharpe": 0.8, "sharpe_gain": 0.2, "p_value": 0.04},
"mean_variance": {"sharpe": 0.5, "sharpe_gain": -0.1, "p_value": 0.6},
"buy_and_hold": {"sharpe": 0.6}}
"""

EXPECTED = """
short: return over 1 session, on the hold-out
model   MAE %  RMSE %    OOS R2        p  hit %     AUC    Brier  cover %  width %  score %  CRPS %  rank IC
────────────────────────────────────────────────────────────────────────────────────────────────────────────
stack   1.030   1.450   +0.0012    0.210   52.1   0.511   0.2499     91.0     4.89     6.50   0.785   +0.012
ridge  1.029*  1.449*  +0.0030*   <0.001  53.1*  0.521*  0.2489*     91.0     4.89    6.49*  0.781*  +0.022*
zero    1.032   1.450   -0.0004        -   48.0   0.500   0.2500     91.2     4.89     6.60   0.790        -
mean    1.031   1.450   +0.0000        -   52.0   0.500   0.2500     91.2     4.89     6.60   0.790        -
* best of its column, better than every baseline, and p < 0.05 against the historical mean
The served forecast beats the historical mean by no more than chance (out-of-sample R2 +0.0012, p 0.210).
Its distribution beats the better baseline (CRPS -0.60 %, p 0.040).
Trading on it does not beat holding by more than chance (sign: Sharpe +0.80, holding +0.60, p 0.080).

short: newest forecasts
symbol         bar     close         for  return %      interval %  P(rise) %
─────────────────────────────────────────────────────────────────────────────
AAPL    2012-12-31    532.17  2013-01-02     +0.12  -3.00 .. +3.10       52.3
IBM     2012-12-31  1,191.55  2013-01-02     -0.04  -2.00 .. +2.10       48.7

Look at
all scores, by symbol        metrics/short/scores.csv
trading and holding          metrics/short/backtest.json
how the forecasts were made  models/short/card.json
plots                        dvc plots show
what changed                 dvc metrics diff, dvc params diff
an experiment                dvc exp run -S 'features.sma=[5,20]', make experiments
"""


@pytest.fixture
def results(tmp_path: Path, repo_root: Path) -> Path:
    """A project with the metrics of one horizon, `short`, of one session."""
    text = (repo_root / "params.yaml").read_text(encoding="utf-8")
    before, _, rest = text.partition("\nhorizons:\n")
    after = rest[rest.index("\n\n") :]
    (tmp_path / "params.yaml").write_text(
        f"{before}\nhorizons:\n  short: 1{after}", encoding="utf-8"
    )
    folder = tmp_path / "metrics" / "short"
    folder.mkdir(parents=True)
    (folder / "scores.csv").write_text(SCORES, encoding="utf-8")
    (folder / "forecasts.csv").write_text(FORECASTS, encoding="utf-8")
    (folder / "backtest.json").write_text(BACKTEST, encoding="utf-8")
    return tmp_path


def printed(project: Path, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "versions.report"],
        cwd=project,
        env={"PYTHONPATH": str(root), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_what_a_pipe_gets_is_plain_whole_and_without_trailing_blanks(
    results: Path, repo_root: Path
) -> None:
    done = printed(results, repo_root)
    assert done.stderr == ""
    assert done.stdout == EXPECTED
    assert done.returncode == 0


def test_before_the_first_run_the_error_is_one_line(results: Path, repo_root: Path) -> None:
    (results / "metrics" / "short" / "scores.csv").unlink()
    done = printed(results, repo_root)
    assert done.stdout == ""
    assert done.stderr == "error: metrics/short/scores.csv: no such file; run `dvc repro` first\n"
    assert done.returncode == 1


def test_a_narrow_terminal_leaves_out_the_last_columns(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    scores = report.load("short").scores
    for width in (40, 60, 80, 100):
        console = Console(width=width, color_system=None, force_terminal=True)
        with console.capture() as captured:
            console.print(report.scores_table(scores, "short", width))
        lines = captured.get().splitlines()
        assert all(len(line) <= width for line in lines)
        assert "MAE %" in lines[1]
        assert "…" not in captured.get()


def test_the_data_docs_are_named_once_they_are_there(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    assert "quality of the data" not in dict(report.next_steps(["short"]))
    assert DATA_DOCS == INDEX
    DATA_DOCS.parent.mkdir(parents=True)
    DATA_DOCS.touch()
    assert dict(report.next_steps(["short"]))["quality of the data"] == str(DATA_DOCS)


def test_only_the_newest_forecasts_that_fit_are_shown(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    row = "A{},2012-12-31,2013-01-02,1,0,-0.1,0.1,0.5,false\n"
    path = results / "metrics" / "short" / "forecasts.csv"
    path.write_text(
        FORECASTS.splitlines()[0] + "\n" + "".join(row.format(i) for i in range(25)),
        encoding="utf-8",
    )
    table = report.forecasts_table(report.load("short").forecasts, "short")
    assert table.row_count == report.FORECASTS
    assert table.caption == "and 5 more in metrics/short/forecasts.csv"


def test_a_symbol_that_ended_long_before_the_others_is_marked(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    path = results / "metrics" / "short" / "forecasts.csv"
    path.write_text(FORECASTS.replace("0.487,false", "0.487,true"), encoding="utf-8")
    table = report.forecasts_table(report.load("short").forecasts, "short")
    assert list(table.columns[1].cells) == ["2012-12-31", "2012-12-31 stale"]


REASONS = """
short: what moves the newest forecasts
symbol  base %  largest contributions %
─────────────────────────────────────────────────────────────────────
AAPL    +0.070  f5 -0.600, f4 +0.500, f3 +0.400, f2 +0.300, f1 +0.200
IBM     +0.070  f0 +0.010
"""


def explain(project: Path, day: date, *rows: tuple[str, list[float]]) -> None:
    """Write explanations of forecasts from a day: a symbol and its contributions each."""
    table = [
        {"symbol": symbol, "date": day, "forecast": 0.0, "base": 0.0007}
        | {f"f{place}": value for place, value in enumerate(values)}
        for symbol, values in rows
    ]
    folder = project / "models" / "short"
    folder.mkdir(parents=True)
    pl.DataFrame(table).write_parquet(folder / "explanations.parquet")


def test_the_five_largest_contributions_of_each_newest_forecast_are_shown(
    results: Path, repo_root: Path
) -> None:
    explain(
        results,
        date(2012, 12, 31),
        ("AAPL", [0.001, 0.002, 0.003, 0.004, 0.005, -0.006]),
        ("IBM", [0.0001, 0, 0, 0, 0, 0]),
    )
    done = printed(results, repo_root)
    assert done.stderr == ""
    assert done.stdout == EXPECTED.replace("\nLook at\n", f"{REASONS}\nLook at\n")


@pytest.mark.parametrize(
    ("day", "value"),
    [
        pytest.param(date(2012, 12, 28), 0.001, id="of former forecasts"),
        pytest.param(date(2012, 12, 31), 0.0, id="nothing but the mean"),
    ],
)
def test_without_contributions_to_the_newest_forecasts_there_is_no_table(
    results: Path, repo_root: Path, day: date, value: float
) -> None:
    explain(results, day, ("AAPL", [value]), ("IBM", [value]))
    assert printed(results, repo_root).stdout == EXPECTED
