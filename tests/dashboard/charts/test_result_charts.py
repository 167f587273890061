"""Charts of the committed results: what is drawn, where, and that colour is never the only sign."""

import polars as pl
import pytest

from dashboard.charts import distribution_charts, result_charts
from dashboard.results import horizon_metrics
from tests.projects import ROOT

RESULTS = {name: horizon_metrics.read("", name, ROOT) for name in ("short", "long")}
HORIZONS = pytest.mark.parametrize("horizon", list(RESULTS))
BASELINES = ("zero", "mean")


def two(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows as of two revisions."""
    return pl.concat([rows.with_columns(revision=pl.lit(name)) for name in ("a: main", "b: <b>")])


def test_the_best_model_is_on_top_and_baselines_are_hollow() -> None:
    rows = pl.DataFrame(
        {"model": ["stack", "zero", "ridge", "mean"], "value": [0.01, 0.03, 0.02, None]}
    )
    low = result_charts.scores(rows, BASELINES, title="MAE", higher=False, percent=True)
    assert list(low.layout.yaxis.categoryarray) == ["zero", "ridge", "stack"]
    high = result_charts.scores(rows, BASELINES, title="AUC", higher=True, percent=False)
    assert list(high.layout.yaxis.categoryarray) == ["stack", "ridge", "zero"]
    drawn = {trace.name: (trace.y, trace.marker.symbol) for trace in high.data}
    assert drawn == {
        "served": (("stack",), "diamond"),
        "candidates": (("ridge",), "circle"),
        "baselines": (("zero",), "circle-open"),
    }


@HORIZONS
def test_every_model_has_its_folds(horizon: str) -> None:
    rows = RESULTS[horizon].table("folds")
    figure = result_charts.folds(rows)
    assert [trace.name for trace in figure.data] == rows["model"].unique(
        maintain_order=True
    ).to_list()
    assert sum(len(trace.y) for trace in figure.data) == rows.height


@HORIZONS
@pytest.mark.parametrize("name", ["equity", "drawdown"])
def test_curves_of_portfolios(horizon: str, name: str) -> None:
    rows = RESULTS[horizon].table(name)
    figure = result_charts.curves(rows, name)
    curve = next(trace for trace in figure.data if trace.name == "buy_and_hold")
    own = rows.filter(pl.col("portfolio") == "buy_and_hold")
    assert list(curve.x) == own["date"].to_list()
    assert list(curve.y) == own[name].to_list()
    # Lines of one colour have other dashes.
    lines = [(trace.line.color, trace.line.dash) for trace in figure.data]
    assert len(set(lines)) == len(lines)


@HORIZONS
def test_calibration_has_the_line_of_a_perfect_forecast(horizon: str) -> None:
    rows = RESULTS[horizon].table("calibration")
    perfect, forecasts = distribution_charts.calibration(rows).data
    assert list(perfect.x) == list(perfect.y)
    assert list(forecasts.x) == rows["forecast"].to_list()
    assert list(forecasts.y) == rows["observed"].to_list()


@HORIZONS
@pytest.mark.parametrize(("name", "x"), [("pit", "pit"), ("residuals", "residual")])
def test_histograms_are_those_that_the_pipeline_has_counted(
    horizon: str, name: str, x: str
) -> None:
    rows = RESULTS[horizon].table(name)
    (bars,) = distribution_charts.histogram(rows, name).data
    assert list(bars.x) == rows[x].to_list()
    assert list(bars.y) == rows["share"].to_list()


@HORIZONS
def test_coverage_names_years_and_thirds_and_draws_the_level(horizon: str) -> None:
    figure = distribution_charts.coverage(RESULTS[horizon].table("coverage"), 0.9)
    assert list(figure.data[0].y) == ["2010", "2011", "2012", "calm", "usual", "wild"]
    assert figure.layout.shapes[0].x0 == 0.9
    assert not distribution_charts.coverage(RESULTS[horizon].table("coverage"), None).layout.shapes


@HORIZONS
def test_the_largest_features_are_on_top(horizon: str) -> None:
    rows = RESULTS[horizon].table("importance")
    (bars,) = result_charts.features(rows, "importance").data
    assert len(bars.y) == result_charts.FEATURES
    assert bars.y[-1] == rows.sort("importance")["feature"][-1]
    assert sorted(bars.x) == list(bars.x)


def test_rank_ic_by_year() -> None:
    rows = pl.DataFrame(
        {
            "year": [2019.0, 2020.0],
            "dates": [250.0, 251.0],
            "ic": [0.01, -0.02],
            "spread": [0.0, 0.0],
        }
    )
    (bars,) = result_charts.rank_ic(rows).data
    assert (list(bars.x), list(bars.y)) == (["2019", "2020"], [0.01, -0.02])


def test_two_revisions_lie_over_each_other_and_differ_without_colour() -> None:
    results = RESULTS["short"]
    folds = results.table("folds").filter(pl.col("model") == "stack")
    lines = result_charts.folds(two(folds)).data
    assert [trace.line.dash for trace in lines] == ["solid", "dash"]
    assert [trace.name for trace in lines] == ["stack, a: main", "stack, b: &lt;b&gt;"]
    _, one, other = distribution_charts.calibration(two(results.table("calibration"))).data
    assert one.marker.symbol != other.marker.symbol
    bars = distribution_charts.histogram(two(results.table("pit")), "pit").data
    assert [trace.marker.pattern.shape for trace in bars] == ["", "/"]


def test_names_are_shown_letter_by_letter() -> None:
    rows = pl.DataFrame({"feature": ["<b>x</b>"], "importance": [1.0]})
    assert result_charts.features(rows, "importance").data[0].y == ("&lt;b&gt;x&lt;/b&gt;",)
