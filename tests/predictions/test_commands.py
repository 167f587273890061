"""`python -m serve export` and `python -m serve prune`, on both databases."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
import sqlalchemy as sa

from predictions import export
from predictions.database import Database
from predictions.schema import first_id, label_store, moment
from serve.__main__ import main
from tests.predictions.rows import ids, row

Command = Callable[..., str]
NOW = datetime.now(UTC)


@pytest.fixture
def command(
    url: str,
    engine: sa.Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs `python -m serve` on the log of `engine`; returns what it prints."""
    del engine
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SERVE_ROOT", str(tmp_path))

    def run(*arguments: str) -> str:
        main(arguments)
        return capsys.readouterr().out

    return run


def fill(engine: sa.Engine, rows: Sequence[dict[str, Any]], *labelled: int) -> None:
    database = Database(engine)
    database.write([rows])
    database.close()
    with engine.begin() as connection:
        for number in labelled:
            label = {
                "prediction_id": rows[number]["id"],
                "actual_return": 0.5,
                "actual_close": None,
                "observed_at": None,
                "created_at": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
                "client": "me",
            }
            connection.execute(sa.insert(label_store).values(label))


def aged(days: float, number: int = 0, **values: Any) -> dict[str, Any]:
    when = NOW - timedelta(days=days)
    identifier = first_id(when)[:-12] + f"{number:012x}"
    return row(id=identifier, created_at=moment(when), **values)


def test_every_prediction_is_a_row_with_its_inputs_and_its_label(
    command: Command, engine: sa.Engine, tmp_path: Path
) -> None:
    features = np.array([0.1, -1.17549435e-38, 3.4e38], np.float32)
    texts = [
        orjson.dumps(dict(zip(names, features, strict=True)), option=orjson.OPT_SERIALIZE_NUMPY)
        for names in ("abc", "cbd")
    ]
    rows = [
        aged(2, inputs=texts[0].decode(), model_md5="a" * 32),
        aged(1, inputs=texts[1].decode(), model_md5="b" * 32, as_of=None, last_close=None),
        aged(0, inputs=texts[0].decode(), model_md5="a" * 32, symbol_index=3, symbol="é"),
    ]
    fill(engine, rows, 1)
    path = tmp_path / "deep" / "log.parquet"
    assert command("export", "--to", str(path)) == f"wrote 3 predictions to {path}\n"
    table = pl.read_parquet(path)
    for name in set(rows[0]) - {"created_at", "as_of", "target_date", "inputs"}:
        assert table[name].to_list() == [row[name] for row in rows], name
    assert table["as_of"].to_list() == [date(2012, 12, 31), None, date(2012, 12, 31)]
    created = [datetime.fromisoformat(row["created_at"]).replace(tzinfo=UTC) for row in rows]
    assert table["created_at"].to_list() == created
    assert table["actual_return"].to_list() == [None, 0.5, None]
    assert table["labelled_by"].to_list() == [None, "me", None]
    labelled_at = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    assert table["labelled_at"].to_list() == [None, labelled_at, None]
    inputs = table["inputs"].struct.unnest()
    assert inputs.schema == dict.fromkeys("abcd", pl.Float32)
    a, b, c = features.tolist()
    assert inputs.rows() == [(a, b, c, None), (None, b, a, c), (a, b, c, None)]


def test_the_same_rows_give_the_same_bytes(
    command: Command, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "GROUP", 40)
    fill(engine, [aged(1, number) for number in range(100)], 3)
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    for path in paths:
        command("export", "--to", str(path))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert pl.read_parquet(paths[0])["id"].to_list() == ids(engine)
    assert sorted(tmp_path.glob("*.parquet*")) == paths


def test_a_span_of_time(command: Command, engine: sa.Engine, tmp_path: Path) -> None:
    fill(engine, [aged(days) for days in (9, 5, 1)])
    path = tmp_path / "log.parquet"
    since, until = ((NOW - timedelta(days=days)).isoformat() for days in (5, 1))
    command("export", "--to", str(path), "--from", since, "--until", until)
    assert pl.read_parquet(path)["id"].to_list() == [aged(5)["id"]]
    command("export", "--to", str(path), "--until", (NOW - timedelta(days=5)).date().isoformat())
    assert pl.read_parquet(path)["id"].to_list() == [aged(9)["id"]]


def test_an_empty_span_is_a_file_with_the_same_columns(
    command: Command, engine: sa.Engine, tmp_path: Path
) -> None:
    full, empty = tmp_path / "full.parquet", tmp_path / "empty.parquet"
    fill(engine, [aged(1)])
    command("export", "--to", str(full))
    output = command("export", "--to", str(empty), "--from", "2100-01-01")
    assert output == f"wrote 0 predictions to {empty}\n"
    assert pl.read_parquet(empty).columns == pl.read_parquet(full).columns


def test_an_export_that_fails_leaves_the_former(
    command: Command,
    engine: sa.Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(export, "GROUP", 2)
    fill(engine, [aged(3), aged(2), aged(1)])
    path = tmp_path / "log.parquet"
    command("export", "--to", str(path))
    former = path.read_bytes()
    fill(engine, [aged(0, inputs='{"other": 1.0}')])
    with pytest.raises(SystemExit):
        command("export", "--to", str(path))
    assert re.fullmatch(r"error: prediction \S+ has other inputs .*\n", capsys.readouterr().err)
    assert path.read_bytes() == former
    assert [entry.name for entry in tmp_path.glob("*.parquet*")] == ["log.parquet"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "--to", "/proc/none/log.parquet"], r"--to /proc/none/log.parquet: cannot be w"),
        (["export", "--to", "/proc"], "--to /proc: is a folder; name a file"),
        (["export", "--to", "x", "--from", "soon"], "--from: 'soon' is not a date or moment"),
        (["prune", "--keep-days", "0"], "--keep-days: '0' is not a number of days"),
        (["prune", "--keep-days", "-1"], "--keep-days"),
        (["prune", "--keep-days", "1.5"], "--keep-days: '1.5' is not a number of days"),
    ],
)
def test_a_mistake_is_said(
    command: Command, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command(*arguments)
    assert stopped.value.code in {1, 2}
    assert says in capsys.readouterr().err


def test_a_log_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVE_ROOT", str(tmp_path))
    for command in (["export", "--to", "x.parquet"], ["prune", "--keep-days", "1", "--dry-run"]):
        with pytest.raises(SystemExit):
            main(command)
        assert "error: there is no prediction log at " in capsys.readouterr().err
    assert list(tmp_path.rglob("*.db")) == []


def test_old_predictions_go_with_their_labels_and_batches(
    command: Command, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("predictions.retention.CHUNK", 10)
    old = [aged(40, number) for number in range(25)]
    new = [aged(20, number) for number in range(3)]
    fill(engine, [*old, *new], 0, 1, 26)
    batches = tmp_path / "var" / "batches"
    batches.mkdir(parents=True, exist_ok=True)
    for prediction in (old[0], new[0]):
        (batches / f"{prediction['id']}.parquet").touch()
    output = command("prune", "--keep-days", "30", "--dry-run")
    assert output.startswith("would remove 25 predictions (2 with a label) and 1 batches, made bef")
    assert len(ids(engine)) == 28
    output = command("prune", "--keep-days", "30")
    assert output.startswith("removed 25 predictions (2 with a label) and 1 batches, made before ")
    assert ids(engine) == [prediction["id"] for prediction in new]
    assert [path.stem for path in batches.iterdir()] == [new[0]["id"]]
    with engine.connect() as connection:
        labels = connection.scalars(sa.select(label_store.c.prediction_id)).all()
    assert labels == [new[1]["id"]]
    assert command("prune", "--keep-days", "30").startswith("removed 0 predictions (0 with")
