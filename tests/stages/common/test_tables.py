import hashlib
import os
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from stages.common import tables
from stages.common.errors import DataError, InputError
from tests.messages import facts

BARS = pl.DataFrame(
    {
        "symbol": ["AAPL"] * 3 + ["IBM"] * 2,
        "date": [date(2012, 1, day) for day in (3, 4, 5, 3, 4)],
        "close": [1.0, 2.0, None, 4.0, 5.0],
    }
)


def killed(script: str, path: Path, root: Path) -> None:
    """Run a script that kills itself with SIGKILL: no handler, no `finally`, nothing flushed."""
    done = subprocess.run([sys.executable, "-c", script, path], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def a_folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "part").write_text(text, encoding="utf-8")
    return path


def the_text(path: Path) -> str:
    return (path / "part").read_text(encoding="utf-8")


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bars.parquet"
    tables.write(BARS, path)
    assert tables.read(path).equals(BARS)
    assert tables.read(path, ["close"]).columns == ["close"]
    assert left_over(path.parent) == ["bars.parquet"]


def test_an_error_leaves_the_former_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    tables.write(BARS, path)
    with pytest.raises(ZeroDivisionError), tables.replacing(path) as partial:
        partial.write_bytes(b"half")
        raise ZeroDivisionError
    assert tables.read(path).equals(BARS)
    assert left_over(tmp_path) == ["bars.parquet"]


def test_an_error_leaves_the_former_folder_whole(tmp_path: Path) -> None:
    path = a_folder(tmp_path / "raw", "former")
    with pytest.raises(ZeroDivisionError), tables.replacing(path) as partial:
        a_folder(partial, "half")
        raise ZeroDivisionError
    assert the_text(path) == "former"
    assert left_over(tmp_path) == ["raw"]


def test_a_new_folder_leaves_nothing_of_the_former_one(tmp_path: Path) -> None:
    path = a_folder(tmp_path / "raw", "former")
    (path / "gone").touch()
    with tables.replacing(path) as partial:
        a_folder(partial, "new")
        assert the_text(path) == "former"
    assert the_text(path) == "new"
    assert left_over(path) == ["part"]
    assert left_over(tmp_path) == ["raw"]


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import polars as pl
from stages.common import tables

with tables.replacing(Path(sys.argv[1])) as partial, tables.Writer(partial) as writer:
    writer.append(pl.DataFrame({"close": [1.0]}))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_leaves_the_former_file_whole_and_the_next_run_finishes(
    tmp_path: Path, repo_root: Path
) -> None:
    path = tmp_path / "bars.parquet"
    tables.write(BARS, path)
    killed(KILLED_WHILE_WRITING, path, repo_root)
    assert tables.read(path).equals(BARS)
    tables.write(BARS.head(2), path)
    assert tables.read(path).height == 2
    assert left_over(tmp_path) == ["bars.parquet"]


KILLED_IN_A_FOLDER = """
import os, signal, sys
from pathlib import Path
from stages.common import tables

with tables.replacing(Path(sys.argv[1])) as partial:
    partial.mkdir()
    (partial / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_leaves_the_former_folder_whole_and_the_next_run_finishes(
    tmp_path: Path, repo_root: Path
) -> None:
    path = a_folder(tmp_path / "raw", "former")
    killed(KILLED_IN_A_FOLDER, path, repo_root)
    assert the_text(path) == "former"
    with tables.replacing(path) as partial:
        a_folder(partial, "new")
    assert the_text(path) == "new"
    assert left_over(path) == ["part"]
    assert left_over(tmp_path) == ["raw"]


KILLED_BETWEEN_THE_RENAMES = """
import os, signal, sys
from pathlib import Path
from stages.common import tables

rename = Path.rename

def rename_and_die(self, target):
    rename(self, target)
    os.kill(os.getpid(), signal.SIGKILL)

with tables.replacing(Path(sys.argv[1])) as partial:
    partial.mkdir()
    Path.rename = rename_and_die
"""


def test_a_kill_between_the_two_renames_of_a_folder_is_mended_by_the_next_call(
    tmp_path: Path, repo_root: Path
) -> None:
    path = a_folder(tmp_path / "raw", "former")
    killed(KILLED_BETWEEN_THE_RENAMES, path, repo_root)
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), tables.replacing(path):
        assert the_text(path) == "former"
        raise ZeroDivisionError
    assert the_text(path) == "former"
    assert left_over(tmp_path) == ["raw"]


WRITES_A_PANEL = """
import sys
from pathlib import Path
import polars as pl
from stages.common import tables

with tables.Writer(Path(sys.argv[1])) as writer:
    for group in range(3):
        rows = pl.int_range(10_000, eager=True)
        writer.append(
            pl.DataFrame({"symbol": f"S{group}", "day": rows, "close": (rows * 7919 % 1000) / 3})
        )
"""


def test_bytes_depend_on_rows_and_groups_alone(tmp_path: Path, repo_root: Path) -> None:
    digests = set()
    for threads, seed in (("1", "1"), ("2", "2")):
        path = tmp_path / f"{threads}.parquet"
        environment = {**os.environ, "POLARS_MAX_THREADS": threads, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", WRITES_A_PANEL, str(path)]
        subprocess.run(command, cwd=repo_root, env=environment, check=True)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_row_groups_are_read_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    groups = BARS.partition_by("symbol", maintain_order=True)
    with tables.Writer(path) as writer:
        for group in groups:
            writer.append(group)
    assert writer.rows == BARS.height
    assert tables.count_row_groups(path) == len(groups)
    for written, read in zip(groups, tables.row_groups(path), strict=True):
        assert read.equals(written)
    assert [frame.columns for frame in tables.row_groups(path, ["close"])] == [["close"]] * 2


def test_groups_of_different_columns_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="schema does not match"),
        tables.Writer(tmp_path / "bars.parquet") as writer,
    ):
        writer.append(BARS)
        writer.append(BARS.rename({"close": "open"}))


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "rejected.parquet"
    tables.write(tables.empty(tables.REJECTED), path)
    read = tables.read(path)
    assert read.is_empty()
    assert tables.conform(read, tables.REJECTED, "rejected").columns == list(tables.REJECTED)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    expected = f"{path}: no such file; run `dvc repro` or `dvc pull`"
    with pytest.raises(InputError) as error:
        tables.read(path)
    assert facts(str(error.value)) == facts(expected)
    with pytest.raises(InputError) as error:
        list(tables.row_groups(path))
    assert facts(str(error.value)) == facts(expected)


def test_a_truncated_file_is_one_line_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    days = pl.date_range(date(2000, 1, 1), date(2000, 1, 1) + timedelta(days=999), eager=True)
    tables.write(days.to_frame("date"), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for read in (tables.read, lambda path: list(tables.row_groups(path)), tables.count_row_groups):
        with pytest.raises(InputError) as error:
            read(path)
        message = str(error.value)
        assert message.startswith(f"{path}: cannot be read as Parquet (")
        assert message.endswith("); fetch or export the file again")
        assert "\n" not in message


def test_conform_takes_the_contract_s_columns_in_its_order() -> None:
    frame = BARS.with_columns(extra=1).select("extra", "close", "date", "symbol")
    contract: tables.Contract = {"symbol": pl.String, "date": pl.Date, "close": pl.Float64}
    assert tables.conform(frame, contract, "AAPL").equals(BARS)


def test_conform_names_missing_columns() -> None:
    with pytest.raises(DataError) as error:
        tables.conform(BARS.drop("date"), {"symbol": pl.String, "date": pl.Date}, "AAPL")
    assert facts(str(error.value)) == facts("AAPL: no column date; it has symbol, close")


def test_conform_names_wrong_types() -> None:
    with pytest.raises(DataError) as error:
        tables.conform(BARS, {"close": pl.Float32, "date": pl.String}, "AAPL")
    assert facts(str(error.value)) == facts(
        "AAPL: close is Float64, not Float32, date is Date, not String"
    )
