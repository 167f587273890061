"""The runbook of an alert is the row of docs/self-healing.md, without links that lead nowhere."""

from pathlib import Path

from dashboard.watching import runbook_text
from tests.projects import ROOT


def test_every_alert_of_the_page_has_its_runbook() -> None:
    books = runbook_text.read(ROOT / runbook_text.PAGE)
    assert {"degraded", "drift_share", "drift_features", "prediction_log", "disk"} <= set(books)
    assert books["drift_share"] == books["drift_features"]
    assert "dvc checkout" in books["models"].do
    assert "](" not in str(books)


def test_without_the_page_there_is_none(tmp_path: Path) -> None:
    assert runbook_text.read(tmp_path / "none.md") == {}
