"""Rate limits: as many as are allowed and no more, by any number of processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from serve.edge.rates import RateLimit, of_address
from tests.projects import ROOT

ASKS = """
import sys
from pathlib import Path
from serve.edge import rates
limit = rates.RateLimit(1000, Path(sys.argv[1]), lambda: 100.0)
print(sum(limit.ask("desk") == 0 for _ in range(900)))
"""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(tmp_path: Path, clock: Clock) -> RateLimit:
    return RateLimit(60, tmp_path / "var" / "rates.bin", clock)


def test_sixty_at_once_then_one_a_second(limit: RateLimit, clock: Clock) -> None:
    assert [limit.ask("a") for _ in range(60)] == [0] * 60
    assert limit.ask("a") == pytest.approx(1)
    assert limit.ask("b") == 0
    clock.now += 0.5
    assert limit.ask("a") == pytest.approx(0.5)
    clock.now += 0.5
    assert limit.ask("a") == 0
    assert limit.ask("a") > 0
    clock.now += 60
    assert [limit.ask("a") for _ in range(60)] == [0] * 60
    assert limit.ask("a") > 0


def test_a_clock_that_starts_anew_locks_nobody_out(limit: RateLimit, clock: Clock) -> None:
    assert [limit.ask("a") for _ in range(60)] == [0] * 60
    clock.now = 5.0
    assert limit.ask("a") == 0


def test_many_callers_do_not_count_for_each_other(limit: RateLimit) -> None:
    assert all(limit.ask(f"caller {number}") == 0 for number in range(20_000))


def test_processes_share_one_count(tmp_path: Path) -> None:
    path = str(tmp_path / "rates.bin")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ASKS, path], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    counts = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(counts) == 1000


def test_a_subscriber_of_ipv6_is_one_caller() -> None:
    assert of_address("2001:db8::1") == of_address("2001:db8::ffff") == "2001:db8::/64"
    assert of_address("192.0.2.1") == "192.0.2.1"
    assert of_address("testclient") == "testclient"
