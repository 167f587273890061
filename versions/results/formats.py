"""How every page of results shows its scores."""

from typing import NamedTuple


class Column(NamedTuple):
    """How a score is shown.

    Attributes:
        name: the column of `metrics/<horizon>/scores.csv`, the key of `metrics/<horizon>.json`.
        title: its heading.
        format: of its numbers; `%` stands for percent.
        better: "high" or "low" where more or less of it is better, "" where neither is.
    """

    name: str
    title: str
    format: str
    better: str = ""


COLUMNS = (
    Column("mae", "MAE %", "%.3f", "low"),
    Column("rmse", "RMSE %", "%.3f", "low"),
    Column("oos_r2", "OOS R2", "+.4f", "high"),
    Column("p_value", "p", ".3f"),
    Column("direction", "hit %", "%.1f", "high"),
    Column("auc", "AUC", ".3f", "high"),
    Column("brier", "Brier", ".4f", "low"),
    Column("coverage", "cover %", "%.1f"),
    Column("width", "width %", "%.2f"),
    Column("interval_score", "score %", "%.2f", "low"),
    Column("crps", "CRPS %", "%.3f", "low"),
    Column("rank_ic", "rank IC", "+.3f", "high"),
)
"""The scores on the hold-out, the most telling first: a narrow terminal leaves out the last."""

FOLDS = Column("fold_oos_r2", "OOS R2 of the folds", "+.4f", "high")


def number(value: float | None, form: str) -> str:
    """A number as text: `-` where there is none, `%` in the format for percent."""
    if value is None:
        return "-"
    percent = form.startswith("%")
    text = format(100 * value if percent else value, form.removeprefix("%"))
    # A p-value is small, never zero.
    return "<0.001" if form == ".3f" and 0 <= value < 0.0005 else text  # noqa: PLR2004


def change(before: float | None, after: float | None, form: str) -> str:
    """The difference of two numbers, with its sign."""
    if before is None or after is None:
        return "-"
    percent, digits = "%" * form.startswith("%"), form.lstrip("%+")
    return number(after - before, f"{percent}+{digits}")
