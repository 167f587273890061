"""The plots of metrics/<horizon>/*.csv: which column is on which axis, as in `plots:` of dvc.yaml.

`dvc plots show` and the VS Code extension draw them from dvc.yaml, and this page from here; a test
compares the two.
"""

from typing import Final, NamedTuple


class MetricPlot(NamedTuple):
    """A plot.

    Attributes:
        x: the column of the horizontal axis.
        y: that of the vertical axis.
        title: without the horizon.
        more: the other columns that the chart reads.
    """

    x: str
    y: str
    title: str
    more: tuple[str, ...] = ()

    @property
    def columns(self) -> set[str]:
        """All columns that the chart reads."""
        return {self.x, self.y, *self.more}


PLOTS: Final = {
    "scores": MetricPlot(
        "oos_r2", "model", "Out-of-sample R2 on the hold-out, by model", ("symbol",)
    ),
    "folds": MetricPlot(
        "fold", "oos_r2", "Out-of-sample R2 against the historical mean, fold by fold", ("model",)
    ),
    "calibration": MetricPlot(
        "forecast", "observed", "How often it rose, by the probability that was given", ("rows",)
    ),
    "pit": MetricPlot(
        "pit", "share", "Outcomes in each twentieth of the distribution, 1 as often as forecast"
    ),
    "coverage": MetricPlot(
        "coverage",
        "part",
        "Share of outcomes in the interval, by year and by scale",
        ("rows", "width"),
    ),
    "residuals": MetricPlot("residual", "share", "Residuals, in their own standard deviations"),
    "importance": MetricPlot("importance", "feature", "Feature importance"),
    "explanations": MetricPlot(
        "contribution", "feature", "What moves the forecasts, mean absolute contribution"
    ),
    "ic": MetricPlot("year", "ic", "Rank IC across symbols, by year of the hold-out"),
    "equity": MetricPlot(
        "date",
        "equity",
        "Trading the forecasts of the hold-out, after costs, and holding",
        ("portfolio",),
    ),
    "drawdown": MetricPlot(
        "date", "drawdown", "Losses of trading the forecasts, and of holding", ("portfolio",)
    ),
}
"""By the name of the CSV."""
