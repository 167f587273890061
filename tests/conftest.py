"""What all tests share: where the project is, and a machine that they cannot leave marks on."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests import forks
from tests.browsers import BROWSER, REMEDY
from tests.light import lighten
from tests.projects import Project, checkout, copied
from tests.s3 import S3

if TYPE_CHECKING:
    from tests.predictions.postgres import Postgres

Once = Callable[[str, Callable[[Path], None]], Path]

MEMORY = "/dev/shm"  # noqa: S108  # pytest makes a folder there that others cannot enter
"""A folder that Linux keeps in memory."""

ELSEWHERE = ("database_url", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
"""Variables, in whichever case, that lead to other machines."""

# The same examples on every run and machine, however slow; `explore` looks for new ones.
settings.register_profile(
    "repeatable",
    max_examples=100 if os.environ.get("CI_FULL") == "1" else 50,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure(config: pytest.Config) -> None:
    """One server of forked commands for all workers: what it imports takes seconds.

    The folders of tests are in memory where there is plenty: a disk is slower at making and
    removing the many files of projects.
    """
    if getattr(config.option, "numprocesses", None):
        os.environ[forks.SHARED] = str(forks.folder())
    if os.access(MEMORY, os.W_OK):
        volume = os.statvfs(MEMORY)
        # Hooks of git are run there, which a container may forbid.
        runs = not volume.f_flag & os.ST_NOEXEC
        if runs and volume.f_bavail * volume.f_frsize > 4 * 2**30:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which tests are left out, before the first runs."""
    lines = []
    if config.option.markexpr == "not slow":
        lines.append("left out: the slow tests; `make test-slow` runs them")
    if BROWSER is None:
        lines.append(f"skipped: what is tried in a browser: {REMEDY}")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long where workers share the tests: they end at the same time.

    The first of two workers gets the first half of the tests, and then they take from each other.
    So one of them begins with what needs a run of the pipeline, the other with what does not.
    What takes a minute or more comes before all else that is slow: no worker is left alone with it.
    """
    if hasattr(config, "workerinput"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        slow.sort(key=lambda item: item.get_closest_marker("longest") is None)
        fast = [item for item in items if not item.get_closest_marker("slow")]
        first = [item for item in slow if "reproduced" in getattr(item, "fixturenames", ())]
        second = [item for item in slow if item not in first]
        middle = max(0, len(items) // 2 - len(first))
        items[:] = [*first, *fast[:middle], *second, *fast[middle:]]


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The root of the checkout that is tested; nothing writes into it."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def _own_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands that tests run see no settings of the user, and leave nothing outside tmp_path."""
    home = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        # A git hook that starts the tests would point every git here at its own repository.
        for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
            patch.delenv(name, raising=False)
        # `make test ARGS=...` would have every make of the tests report to it, and use its ARGS.
        for name in ("ARGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
            patch.delenv(name, raising=False)
        # Neither settings of a server nor credentials, and no proxy between a test and its server.
        for name in list(os.environ):
            if (
                name.startswith(("SERVE_", "MONITOR_", "DASHBOARD_", "AWS_"))
                or name.lower() in ELSEWHERE
            ):
                patch.delenv(name)
        # Messages and help in English, without colours.
        for name in ("LANGUAGE", "FORCE_COLOR"):
            patch.delenv(name, raising=False)
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):
            patch.setenv(f"DVC_{name}_DIR", str(home / name.lower()))
        patch.setenv("DVC_NO_ANALYTICS", "true")
        patch.setenv("GX_ANALYTICS_ENABLED", "false")
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once for all workers; tests take copies of it, or leave it as it is."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(f"{folder}.lock"):
            if not done.exists():
                # What an attempt that failed has left would hide why it failed.
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder

    return make_once


@pytest.fixture(scope="session")
def _postgres() -> Iterator["Postgres"]:
    from tests.predictions.postgres import Postgres

    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def postgres(_postgres: "Postgres") -> "Postgres":
    """A PostgreSQL server that a test may kill; it runs when the next begins."""
    _postgres.start()
    return _postgres


@pytest.fixture(scope="session")
def reproduced(once: Once) -> Path:
    """A fresh checkout after `dvc repro`; what it printed is in `.dvc/tmp/repro.log`."""

    def make(folder: Path) -> None:
        folder.mkdir()
        project = checkout(folder)
        log = project.dvc("repro")
        (folder / ".dvc" / "tmp" / "repro.log").write_text(log, encoding="utf-8")
        project.pack()

    return once("reproduced", make)


@pytest.fixture(scope="session")
def prepared(once: Once) -> Path:
    """The real sample up to its datasets; no test changes it."""
    from tests import datasets

    return once("prepared", datasets.prepare)


@pytest.fixture(scope="session")
def trained(prepared: Path, once: Once) -> Path:
    """The same with every small candidate of every horizon, and evaluated; no test changes it."""
    from tests import datasets

    def make(folder: Path) -> None:
        shutil.copytree(prepared, folder)
        datasets.train(folder)

    return once("trained", make)


@pytest.fixture
def project(reproduced: Path, tmp_path: Path) -> Project:
    """A copy of the reproduced project, for one test to change."""
    return copied(reproduced, tmp_path / "project")


@pytest.fixture(scope="session")
def brief_history(once: Once) -> Path:
    """Four years of the real sample through the real stages: one horizon, and ridge alone."""

    def make(folder: Path) -> None:
        folder.mkdir()
        project = checkout(folder)
        project.set("  start: null", "  start: '2009-01-01'")
        project.set("  long: 63\n", "")
        project.set("  folds: 5", "  folds: 2")
        path = folder / "params.yaml"
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"\n  random_forest:\n.*?(?=\n\n)", "", text, count=1, flags=re.DOTALL)
        path.write_text(text, encoding="utf-8")
        # DVC runs no stage of which git has the lock and all that it makes.
        (folder / "dvc.lock").unlink()
        shutil.rmtree(folder / "metrics")
        project.dvc("repro", "--quiet")
        project.git("add", "--all")
        project.git("commit", "--quiet", "--no-verify", "--message=A brief history")
        project.pack()

    return once("brief", make)


@pytest.fixture
def brief(brief_history: Path, tmp_path: Path) -> Project:
    """A copy of that project, for what needs real stages and not the whole sample."""
    return copied(brief_history, tmp_path / "project")


@pytest.fixture
def light(once: Once, tmp_path: Path) -> Project:
    """The project with stages that take no time, for what is not about what they compute."""

    def make(folder: Path) -> None:
        folder.mkdir()
        project = checkout(folder)
        lighten(project)
        project.pack()

    return copied(once("light", make), tmp_path / "project")


@pytest.fixture
def fresh(once: Once, tmp_path: Path) -> Project:
    """A checkout in which nothing has been run."""

    def make(folder: Path) -> None:
        folder.mkdir()
        checkout(folder).pack()

    return copied(once("fresh", make), tmp_path / "fresh")


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3]:
    """A real S3 endpoint on loopback with one empty bucket."""
    with S3(tmp_path / "s3") as server:
        yield server
