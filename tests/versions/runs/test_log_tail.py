"""The end of a log is read without the rest."""

import time
from pathlib import Path

from versions.runs import log_tail


def test_the_last_lines_of_a_million_are_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        for begin in range(0, 1_000_000, 10_000):
            file.write(b"".join(b"line %d\n" % n for n in range(begin, begin + 10_000)))
    began = time.perf_counter()
    tail = log_tail.read(path, 3)
    assert time.perf_counter() - began < 0.5
    assert tail.lines == ("line 999997", "line 999998", "line 999999")
    assert tail.cut
    assert tail.size == path.stat().st_size


def test_a_progress_bar_is_its_last_state_and_bad_bytes_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"begin\n10%\r50%\r100%\r\n\xff\xfe\nlast")
    assert log_tail.read(path).lines == ("begin", "100%", "\ufffd\ufffd", "last")
    assert not log_tail.read(path).cut


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert log_tail.read(tmp_path / "none").lines == ()
