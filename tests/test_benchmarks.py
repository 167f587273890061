"""A tiny run of each benchmark, so that none of them rots unseen."""

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest
import yaml

from benchmarks import __main__ as command
from benchmarks import (
    cold,
    commands,
    features,
    launcher,
    memory,
    monitor_window,
    panel,
    parquet,
    processes,
    report,
    rollback,
    transfer,
    versions,
)
from benchmarks.monitor_actions import ACTIONS, FEATURES, HORIZON
from benchmarks.panel import Panel
from benchmarks.processes import Usage
from monitor import live_forecasts
from monitor.live_forecasts import Window
from monitor.settings import Settings
from monitor.store import records
from stages import params
from tests import forks
from versions import s3

TINY = Panel(symbols=3, sessions=600)


@pytest.fixture(scope="module", autouse=True)
def _brief() -> Iterator[None]:
    """DVC without the time of its imports, and without waiting for the disk."""
    python = str(forks.folder() / "bin" / "python")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "DVC", (python, "-m", "dvc"))
        patch.setattr(os, "sync", lambda: None)
        yield


def here(arguments: Sequence[str], folder: Path) -> Usage:
    """Run stages of a project as `processes.python` does, but in this process."""
    if arguments[0] != "-m" or not arguments[1].startswith("stages."):
        return processes.python(arguments, folder)
    start = time.perf_counter()
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments[1:])
        importlib.import_module(arguments[1]).main()
    return Usage(time.perf_counter() - start, 0, "")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks") / "project"
    panel.project(folder, TINY, memory.SECTIONS)
    for stage in ("ingest", "clean"):
        here(["-m", f"stages.{stage}"], folder)
    return folder


def seconds(table: report.Report, column: str) -> list[float]:
    """A column of a table as numbers."""
    return [float(row[list(table.header).index(column)]) for row in table.rows]


# Panels


def test_a_symbol_has_the_same_bars_in_every_panel() -> None:
    few, many = (dict(Panel(symbols, 100).series()) for symbols in (2, 4))
    assert list(few) == ["S00000", "S00001"]
    for name, bars in few.items():
        assert bars.equals(many[name])
    assert not few["S00000"]["close"].equals(few["S00001"]["close"])


def test_a_panel_has_the_size_that_was_asked_for() -> None:
    assert Panel.of(10_000_000) == Panel(symbols=2_000, sessions=5_000)
    assert Panel.of(10_000_000).bars == 10_000_000
    assert [bars.height for _, bars in TINY.series()] == [600] * 3
    assert TINY.dates()[-1] == panel.LAST
    assert len(Panel(1).dates()) == panel.SESSIONS


def test_clean_takes_every_bar(project: Path) -> None:
    clean = pl.read_parquet(project / "data/clean/daily.parquet")
    assert clean.height == TINY.bars
    assert not clean["filled"].any()
    assert pl.read_parquet(project / "data/clean/rejected.parquet").is_empty()
    raw = pl.concat([bars for _, bars in TINY.series()])
    assert clean["close"].equals(raw["close"])


def test_dividends_reach_the_clean_table(project: Path) -> None:
    clean = pl.read_parquet(project / "data/clean/daily.parquet")
    factor = (pl.col("adj_close") / pl.col("close")).over("symbol")
    last = clean.select(factor.last().over("symbol")).to_series().unique()
    assert last.to_list() == pytest.approx([1.005 ** (599 // panel.QUARTER)] * len(last))


# Features


def test_the_race_of_features_has_every_contestant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "ROUNDS", 1)
    table = features.measure([TINY])
    assert [row[1] for row in table.rows] == [
        "this project",
        "pandas groupby",
        "mlforecast",
        "mlforecast, all of the price",
        "mlforecast, all of the price, integer ids",
        "this project, five columns more",
    ]
    assert all(value > 0 for value in seconds(table, "seconds"))
    assert len(table.findings) == 2


@pytest.mark.parametrize("column", features.COLUMNS)
def test_a_race_with_other_values_is_void(column: str) -> None:
    bars = features.closes(TINY)
    ours = features.ours(bars, TINY.sessions)
    columns = ours.columns(ours.make())
    inner = pl.Series([True]).new_from_index(0, columns.height)
    theirs = columns.with_columns(pl.col(features.COLUMNS).cast(pl.Float64))
    features.check(columns, theirs, inner, "peer")
    wrong = theirs.with_columns(
        pl.when(pl.int_range(pl.len()) == 500).then(pl.col(column) * 1.001).otherwise(column)
    )
    with pytest.raises(AssertionError, match=f"^peer: {column} differs from ours in 1 rows$"):
        features.check(columns, wrong, inner, "peer")


def test_ours_are_groups_as_the_stage_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = features.closes(TINY)
    whole = features.ours(bars, TINY.sessions).make()
    monkeypatch.setattr(features, "GROUP_ROWS", 700)
    assert features.ours(bars, TINY.sessions).make().equals(whole)
    assert set(features.COLUMNS) < set(whole.columns)


# Parquet


@pytest.mark.slow
def test_stages_are_timed_against_their_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROUNDS", 1)
    monkeypatch.setattr(parquet, "python", here)
    table = parquet.measure([TINY])
    names = ["clean", "features", "clean, then features", "both as one process"]
    assert [row[1] for row in table.rows] == names
    for column in ("stages, s", "Parquet only, s"):
        one, two, both, _ = seconds(table, column)
        assert one > 0
        assert two > 0
        assert both == pytest.approx(one + two, abs=0.011)


# Memory


def test_stages_are_those_of_the_pipeline(repo_root: Path) -> None:
    pipeline = yaml.safe_load((repo_root / "dvc.yaml").read_text(encoding="utf-8"))
    commands = set()
    for stage in pipeline["stages"].values():
        line = stage["cmd"].replace("${item.horizon}", "short")
        models = memory.LIGHT if "${item.model}" in line else [""]
        commands |= {line.replace("${item.model}", model) for model in models}
    assert {f"python -m stages.{' '.join(stage)}" for stage in memory.STAGES} == commands


def test_light_params_are_params(project: Path, repo_root: Path) -> None:
    light, real = (params.load(root / "params.yaml") for root in (project, repo_root))
    assert set(light.models) == set(real.models)
    assert light.selected_features == [
        name.replace("sp500", panel.INDEX)
        for name in real.selected_features
        if "nasdaq" not in name
    ]


def test_every_stage_has_its_time_and_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STAGES", (("params",), ("ingest",)))
    table = memory.measure(TINY)
    assert [row[0] for row in table.rows] == ["params", "ingest"]
    assert all(0.05 < peak < 1 for peak in seconds(table, "peak, GB"))
    assert table.findings[1].endswith("at most 4 required: met.")


def test_the_way_to_datasets_has_its_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    usages = {
        "ingest": Usage(2.0, 300_000_000, ""),
        "validate": Usage(1.0, 900_000_000, ""),
        "dataset short": Usage(2.0, 200_000_000, ""),
    }

    def run(size: Panel, stages: object) -> dict[str, Usage]:
        assert (size, stages) == (TINY, memory.TO_DATASETS)
        return usages

    monkeypatch.setattr(memory, "run", run)
    table = memory.to_datasets(TINY)
    assert seconds(table, "seconds") == [2, 1, 2, 5]
    assert table.rows[-1] == ("in all", "5.0", "0.90", "100%")
    assert table.findings[1] == "Highest: validate, 0.90 GB; at most 1 required: met."
    assert table.findings[2] == "`validate`: 0.20 of the time; at most 0.33 required: met."


@pytest.mark.parametrize("megabytes", [100, 300])
def test_a_peak_is_that_of_the_process_alone(tmp_path: Path, megabytes: int) -> None:
    own = bytes(500_000_000)
    used = processes.python(["-c", f"print(len(bytes(range(256)) * {megabytes * 4000}))"], tmp_path)
    assert len(own) > used.peak
    assert used.output.strip() == str(megabytes * 1_024_000)
    assert megabytes < used.peak / 1e6 < megabytes * 1.03 + 30


def test_a_failing_process_ends_the_run_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)python -m stages\.clean failed:.*params\.yaml"):
        processes.python(["-m", "stages.clean"], tmp_path)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_the_launcher_passes_on_how_its_command_ended(code: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", launcher.__file__, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert set(json.loads(done.stdout)) == {"seconds", "peak"}


# Cold


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    folder = tmp_path / "pipeline"
    (folder / "stages").mkdir(parents=True)
    for name, content in {
        "stages/__init__.py": "",
        "stages/one.py": "import decimal\nopen('one', 'w').write('1')",
        "stages/two.py": "import sys\nopen('two', 'w').write(open('one').read() + sys.argv[1])",
        "dvc.yaml": (
            "stages:\n"
            "  one: {cmd: python -m stages.one, deps: [stages/one.py], outs: [one]}\n"
            "  two: {cmd: python -m stages.two x, deps: [one], outs: [two]}\n"
        ),
    }.items():
        (folder / name).write_text(content, encoding="utf-8")
    for line in ("git init --quiet", f"{sys.executable} -m dvc init --quiet"):
        subprocess.run(line.split(), cwd=folder, check=True)
    return folder


def test_a_cold_run_is_told_stage_by_stage(pipeline: Path, tmp_path: Path) -> None:
    run = cold.repro(pipeline, tmp_path / "cold")
    assert list(run.stages) == ["one", "two x"]
    assert (pipeline / "two").read_text(encoding="utf-8") == "1x"
    (one, imports), (two, _) = run.stages.values()
    assert one > 0
    assert imports == run.imports == 0
    assert run.seconds > one + two

    idle = cold.repro(pipeline, tmp_path / "idle")
    assert idle.stages == {}

    with (pipeline / "stages/one.py").open("a", encoding="utf-8") as module:
        module.write("\nopen('one', 'w').write('2')\n")
    profiled = cold.repro(pipeline, tmp_path / "profiled", imports=True)
    wall, imports = profiled.stages["one"]
    assert 0 < imports < wall
    assert 0 < profiled.imports < profiled.seconds

    rows = {row[0]: row[1:] for row in cold.report(run, profiled, run, idle).rows}
    assert list(rows) == ["one", "two x", "all stages", "DVC itself", "in all"]
    parts = [float(rows[name][0]) for name in ("all stages", "DVC itself")]
    assert sum(parts) == pytest.approx(float(rows["in all"][0]), abs=0.02)


def test_a_failing_repro_ends_the_run_with_what_it_said(pipeline: Path, tmp_path: Path) -> None:
    (pipeline / "stages/one.py").write_text("raise SystemExit('no bars')", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"(?s)dvc repro failed:.*no bars") as failure:
        cold.repro(pipeline, tmp_path / "cold", imports=True)
    assert "import time" not in str(failure.value)


# Versions, roll back, transfer


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, repo_root: Path) -> Path:
    """A pipeline of two stages in the shape of ours, run and committed."""
    folder = commands.empty(tmp_path_factory.mktemp("benchmarks") / "small")
    for name, content in {
        "params.yaml": "features:\n  sma: [7, 21]\n",
        "dvc.yaml": (
            "stages:\n"
            "  data:\n"
            "    cmd: mkdir -p data && cp params.yaml data/sma && cp dvc.yaml data/same\n"
            "    params: [features.sma]\n"
            "    outs: [data]\n"
            "  models:\n"
            "    cmd: mkdir -p models metrics && cp data/sma models && cp data/sma metrics\n"
            "    deps: [data]\n"
            "    outs: [models, metrics/sma: {cache: false}]\n"
        ),
        ".gitignore": "var/\n",
    }.items():
        (folder / name).write_text(content, encoding="utf-8")
    for name in (".ci", ".dvc/config"):
        copied = shutil.copytree if name == ".ci" else shutil.copy
        copied(repo_root / name, folder / name)
    commands.dvc(folder, "repro")
    commands.commit(folder, "Small")
    return folder


@pytest.fixture
def instead(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small pipeline takes the place of the clone of ours."""

    def copied(folder: Path) -> Path:
        return Path(shutil.copytree(small, folder, symlinks=True))

    monkeypatch.setattr(commands, "reproduced", copied)
    for module in (versions, rollback):
        monkeypatch.setattr(module, "ROUNDS", 1)
        monkeypatch.setattr(module, "WARM_UP", 0)


def one_of_three(
    measure: Callable[[], report.Report], ordered: Callable[[report.Report], bool]
) -> report.Report:
    """A report of one round each in which an order holds, if one of three is: machines are busy."""
    for _ in range(2):
        table = measure()
        if ordered(table):
            return table
    return measure()


@pytest.mark.slow
@pytest.mark.usefixtures("instead")
def test_doing_nothing_is_timed_against_an_empty_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where DVC starts in no time, what it does takes hardly longer.
    monkeypatch.setattr(commands, "DVC", (sys.executable, "-m", "dvc"))

    def ordered(table: report.Report) -> bool:
        repro, _, run, start = seconds(table, "this project, s")
        return start < repro < run

    table = one_of_three(versions.measure, ordered)
    assert [row[0].strip("`") for row in table.rows] == list(versions.COMMANDS)
    for column in ("this project, s", "empty pipeline, s", "times"):
        assert all(value > 0 for value in seconds(table, column))
    assert ordered(table)
    assert table.findings[0] == "Both pipelines have 2 stages, all up to date; medians of 1 rounds."


@pytest.mark.slow
def test_runs_in_clones_are_timed_against_each_other(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(forks.folder() / "bin" / "python"))
    revisions = []

    def copied(folder: Path, *, lock: bool, revision: str = "HEAD") -> Path:
        revisions.append((revision, lock))
        copy = Path(shutil.copytree(small, folder, symlinks=True))
        if not lock:
            (copy / "dvc.lock").unlink()
        return copy

    monkeypatch.setattr(cold, "clone", copied)
    monkeypatch.setattr(cold, "EXPERIMENTS", (cold.AVERAGES, ("--set-param", "features.sma=[3]")))
    former, experiments = cold.against_former(), cold.second_experiment()
    current, then = ("HEAD", False), (cold.FORMER, False)
    assert revisions == [current, then, then, current, ("HEAD", True)]
    assert [row[0] for row in former.rows] == ["this commit", f"commit {cold.FORMER}"]
    assert seconds(former, "times the former")[1] == seconds(experiments, "times the first")[0] == 1
    assert all(value > 0 for value in seconds(former, "seconds") + seconds(experiments, "seconds"))
    assert f"at most {cold.TIMES_FORMER} required" in former.findings[0]


@pytest.mark.slow
@pytest.mark.usefixtures("instead")
def test_a_roll_back_is_timed_until_the_bytes_are_right() -> None:
    def ordered(table: report.Report) -> bool:
        hook, _, models, copies = seconds(table, "median, s")
        return min(hook, models) > copies > 0

    table = one_of_three(rollback.measure, ordered)
    assert [row[0] for row in table.rows] == list(rollback.WAYS)
    assert table.findings[0] == (
        "The two revisions differ in 2 of 3 files, 0.0 MB; every md5 was right after each of the "
        "2 times that each way was gone."
    )
    assert ordered(table)


def test_a_roll_back_to_other_bytes_is_void(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "small", symlinks=True))
    known = rollback.state(folder, tmp_path / "copies")
    assert sorted(known.md5) == ["data/same", "data/sma", "models/sma"]
    states = {rollback.NEWER: known, rollback.FORMER: known}
    monkeypatch.setattr(rollback, "WAYS", {"no way": lambda *_: 1.0})
    assert rollback.race(folder, states) == {"no way": [1.0] * 2 * rollback.ROUNDS}

    (folder / "models" / "sma").write_text("other", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"^no way left other outputs than those of newer$"):
        rollback.race(folder, states)
    (folder / "models" / "sma").unlink()
    (folder / "models").rmdir()
    with pytest.raises(SystemExit, match=r"^models is not there$"):
        rollback.race(folder, states)


def test_a_pull_that_brings_less_is_void(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "ours", lambda *_: 1.0)
    whole = transfer.Volume.of(small)
    assert whole.objects == 4
    server = s3.Server(0, "", "")
    with pytest.raises(SystemExit, match=rf"^dvc pull: 0 of {whole.size} bytes came$"):
        transfer.pull("dvc pull", whole, server, 0)


@pytest.mark.slow
def test_what_is_moved_is_timed_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PANEL", TINY)
    monkeypatch.setattr(transfer, "ROUNDS", 1)
    monkeypatch.setattr(transfer, "python", here)
    monkeypatch.setattr(transfer, "VOLUMES", {"panel": transfer.tables})
    table = transfer.measure()
    assert [row[:3] for row in table.rows] == [
        *(("panel", "push", by) for by in transfer.PUSHES),
        *(("panel", "pull", by) for by in transfer.PULLS),
    ]
    assert all(value > 0 for value in seconds(table, "seconds"))
    assert [row[-1] for row in table.rows if row[2] == transfer.PEER] == ["1.00"] * 2
    assert re.match(r"The panel: 1\d objects, \d\.\d MB", table.findings[0])


def test_a_failing_command_ends_the_run_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)^.*dvc repro failed:.*not inside of a DVC"):
        commands.dvc(tmp_path, "repro")


# Live forecasts


def test_the_actions_of_the_monitor_do_their_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monitor_window.fill(tmp_path, 100)
    settings = Settings(var=tmp_path / "var")
    for _, act in ACTIONS.values():
        act(settings)
    with records.opened(settings, read_only=True) as engine:
        rows, inputs = live_forecasts.read_inputs(engine, Window(HORIZON), FEATURES)
    assert rows.height == rows["actual_return"].count() == 100
    assert inputs.null_count().sum_horizontal().to_list() == [0]


def test_the_actions_of_the_monitor_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = {"newest": ACTIONS["newest"]}
    monkeypatch.setattr(monitor_window, "ACTIONS", newest)
    monkeypatch.setattr(monitor_window, "CHECKED", 100)
    table = monitor_window.measure((100,))
    (row,) = table.rows
    assert row[0] == "100"
    assert 0 < float(row[3]) < 1
    assert [finding.split(", ")[0] for finding in table.findings] == [
        "100 forecasts",
        "100 forecasts: at most 1 required: met",
    ]


# The report


def test_a_table_says_what_was_found_and_where() -> None:
    table = report.Report(
        ("bars", "made by", "seconds"),
        [("10", "a", "1.0"), ("1,000", "bcd", "10.0")],
        ["All is well."],
        ("polars",),
        texts=2,
    )
    lines = table.markdown().splitlines()
    assert lines[:-1] == [
        "| bars  | made by | seconds |",
        "| ----- | ------- | ------: |",
        "| 10    | a       |     1.0 |",
        "| 1,000 | bcd     |    10.0 |",
        "",
        "- All is well.",
        "",
    ]
    pattern = r"Measured on \d+ cores, \d+ GiB of memory, .+, Python [\d.]+, polars [\d.]+\."
    assert re.fullmatch(pattern, lines[-1])


def test_a_bound_is_met_or_missed() -> None:
    assert report.required(3, 3) == "at most 3 required: met"
    assert report.required(3.01, 3) == "at most 3 required: MISSED"
    assert report.required(4, 4, at_least=True) == "at least 4 required: met"
    assert report.required(3.9, 4, at_least=True) == "at least 4 required: MISSED"


def test_a_table_replaces_what_stood_between_its_markers() -> None:
    text = "a\n<!-- cold -->\nold\n<!-- /cold -->\nb\n"
    once = report.insert(text, "cold", "| new |")
    assert once == "a\n<!-- cold -->\n\n| new |\n\n<!-- /cold -->\nb\n"
    assert report.insert(once, "cold", "| new |") == once
    with pytest.raises(ValueError, match="no markers <!-- io --> and <!-- /io -->"):
        report.insert(text, "io", "")


def test_the_page_has_a_place_for_every_benchmark() -> None:
    text = report.README.read_text(encoding="utf-8")
    for name in command.BENCHMARKS:
        report.insert(text, name, "")


def test_write_puts_the_table_into_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- features -->\n<!-- /features -->\n", encoding="utf-8")
    monkeypatch.setattr(report, "README", page)
    monkeypatch.setattr(features, "ROUNDS", 1)
    command.main(["features", "--bars", "5000", "--write"])
    written = page.read_text(encoding="utf-8")
    assert "| 5,000 | this project " in written
    assert written.split("\n\n")[1] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed"], "no benchmark speed; there are " + ", ".join(command.BENCHMARKS)),
        (["--bars", "many"], "argument --bars: invalid int value: 'many'"),
    ],
)
def test_a_wrong_command_line_says_so(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert message in capsys.readouterr().err


def test_help_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in command.BENCHMARKS)
