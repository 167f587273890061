"""Logs: which there are, and their newest lines that match, however long they are."""

import time
from pathlib import Path

import pytest

from dashboard.watching import log_files, log_lines

SERVER = '{"time":"2026-11-29T03:48:41.363047Z","level":"%s","logger":"uvicorn.error","event":"%s"}'


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_the_logs_of_all_who_write_them_are_found(tmp_path: Path) -> None:
    for name in ("log/up.log", "server.log", "runs/7/log", "monitor/jobs/check.log"):
        write(tmp_path / name, "line")
    write(tmp_path / "monitor/drift/short.json", "{}")
    assert set(log_files.logs(tmp_path)) == {
        "log/up.log",
        "server.log",
        "runs/7/log",
        "monitor/jobs/check.log",
    }
    assert log_files.logs(tmp_path / "none") == {}


def test_the_newest_lines_come_first_and_rotated_files_follow(tmp_path: Path) -> None:
    path = write(tmp_path / "up.log", "five", "six")
    write(tmp_path / "up.log.1", "three", "four")
    write(tmp_path / "up.log.2", "one", "two")
    tail = log_files.tail(path)
    assert tail.lines == ("six", "five", "four", "three", "two", "one")
    assert (tail.whole, tail.read) == (True, tail.size)
    few = log_files.tail(path, most=3)
    assert (few.lines, few.whole) == (("six", "five", "four"), False)


@pytest.mark.parametrize("block", [1, 2, 7, 1000])
def test_lines_are_whole_whatever_the_blocks(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "_BLOCK", block)
    lines = [f"line {number} é" for number in range(20)]
    path = write(tmp_path / "a.log", *lines)
    assert log_files.tail(path).lines == tuple(lines[::-1])
    assert log_files.tail(path, text="LINE 1 ").lines == ("line 1 é",)
    path.write_bytes(b"no end of line")
    assert log_files.tail(path).lines == ("no end of line",)
    path.write_bytes(b"")
    assert log_files.tail(path).lines == ()


def test_a_line_without_end_is_read_in_parts_and_up_to_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "_BLOCK", 100)
    monkeypatch.setattr(log_files, "_LINE", 300)
    path = write(tmp_path / "a.log", "first", "." * 1_000)
    tail = log_files.tail(path)
    assert tail.lines[-1] == "first"
    assert "".join(tail.lines[:-1]) == "." * 1_000
    bounded = log_files.tail(path, bound=250)
    assert not bounded.whole
    assert bounded.read < 500


def test_a_level_is_what_a_line_names_or_its_words(tmp_path: Path) -> None:
    bad, worse, plain = SERVER % ("warning", "slow"), SERVER % ("error", "lost"), "error: no port"
    fine = SERVER % ("info", "no error at all")
    path = write(tmp_path / "a.log", fine, bad, worse, plain, "went well")
    assert log_files.tail(path, "warnings and errors").lines == (plain, worse, bad)
    assert log_files.tail(path, "errors").lines == (plain, worse)
    assert log_files.tail(path, "errors", "PORT").lines == (plain,)
    assert log_files.tail(path, "errors", "slow").lines == ()
    assert log_files.tail(path, "all", "went").lines == ("went well",)


def test_lines_have_time_source_level_and_text() -> None:
    of_up = "2026-11-29T03:48:41.400Z server  | " + SERVER % ("info", "<b>up</b>")
    line = log_lines.parsed(of_up)
    assert (line.at, line.source, line.level) == ("2026-11-29T03:48:41.363", "server", "info")
    assert line.text == "<b>up</b>  logger=uvicorn.error"
    line = log_lines.parsed("2026-11-29T03:48:41.400Z monitor | health ok: 1 alerts go on")
    assert (line.source, line.text) == ("monitor", "health ok: 1 alerts go on")
    assert log_lines.parsed("{broken").text == "{broken"
    assert log_lines.parsed("{broken").level == ""
    # Too deep for a parser that calls itself.
    deep = '{"a":' * 3_900
    assert log_lines.parsed(f"server | {deep}").text == deep


def test_a_million_lines_are_searched_without_reading_them_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    line = "2026-11-29T03:48:41.400Z server  | " + '{"level":"info","event":"asked"}\n'
    path.write_text(f"{SERVER % ('error', 'the first')}\n" + line * 999_999, encoding="utf-8")
    assert 50e6 < path.stat().st_size < 100e6
    begin = time.process_time()
    newest = log_files.tail(path)
    assert len(newest.lines) == log_files.MOST
    assert newest.read < 10e6
    rare = log_files.tail(path, text="the first")
    assert (len(rare.lines), rare.whole) == (1, True)
    assert len(log_files.tail(path, "errors").lines) == 1
    # Four of them below 2 s each on a free machine; a loop over lines takes ten times as long.
    assert len(log_files.tail(path, "errors", "server").lines) == 0
    assert time.process_time() - begin < 8
    bounded = log_files.tail(path, text="the first", bound=10_000_000)
    assert (bounded.lines, bounded.whole) == ((), False)


def test_a_download_begins_with_a_whole_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", "first", "second", "third")
    assert log_files.newest_bytes(path, 9) == b"third\n"
    assert log_files.newest_bytes(path, 900) == path.read_bytes()
