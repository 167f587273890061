"""Commands of the monitor, each in a process of its own, which kills itself where a test asks.

The processes are forked from one that has imported what the commands need: else most of their time
would be imports.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).parents[3]

# None of them starts a thread when it is imported.
MODULES = (
    *("monitor.__main__", "monitor.retraining.retrain", "monitor.retraining.rollback"),
    *("monitor.retraining.journal", "monitor.simulation.plan", "sqlalchemy.dialects.sqlite"),
    *("dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.experiments", "dvc.repo.index"),
    *("dvc.repo.metrics.show", "dvc.repo.params.show", "dvc.repo.plots", "dvc.repo.push"),
    *("dvc.repo.stage", "dvc.stage.run", "dvc.data_cloud", "dvc_data.hashfile.db.local"),
    *("dvc_data.index.checkout", "dvc.utils.strictyaml", "gto.api", "networkx", "pygit2"),
    *("ruamel.yaml", "scipy.stats"),
)


class Kill(NamedTuple):
    """Where a process ends by SIGKILL: before a step of the journal is noted, or after it.

    `ended` is the step in which the journal is removed.
    """

    step: str
    noted: bool


@dataclass(frozen=True)
class Commands:
    """Runs commands in a project."""

    server: "subprocess.Popen[str]"
    folder: Path

    def run(self, *words: str, now: str, kill: Kill | None = None) -> tuple[int, str]:
        """Run `python -m monitor <words>`.

        Args:
            words: of the command line.
            now: the moment that counts as now.
            kill: where it is killed.

        Returns:
            Its exit status, -9 if it was killed, and what it printed.
        """
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        printed = self.folder / "var" / "printed.log"
        request = {
            "words": words,
            "kill": kill,
            "folder": str(self.folder),
            "printed": str(printed),
            "environment": {"MONITOR_NOW": now, "USER": "Ada"},
        }
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        status = int(self.server.stdout.readline())
        return status, printed.read_text(encoding="utf-8")


@contextmanager
def server(programs: Path) -> Iterator["subprocess.Popen[str]"]:
    """The process that commands are forked from, as a context.

    Args:
        programs: where `python` and `dvc` are that the commands start.
    """
    search = os.pathsep.join((str(programs), os.environ["PATH"]))
    with subprocess.Popen(
        [sys.executable, "-P", __file__, str(programs / "python")],
        env={**os.environ, "PATH": search, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.communicate()


def main() -> None:
    """Fork a process for each line of the input, and print its exit status."""
    # A short `python -m dvc` too.
    sys.executable = sys.argv[1]
    for module in MODULES:
        importlib.import_module(module)
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        child = os.fork()
        if not child:
            become(**request)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def become(
    words: Sequence[str],
    kill: Sequence[object] | None,
    folder: str,
    printed: str,
    environment: dict[str, str],
) -> NoReturn:
    """Be the command, to its end."""
    import monitor.__main__

    streams = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    )
    for stream, number in ((streams[0], 0), (streams[1], 1), (streams[1], 2)):
        os.dup2(stream, number)
    os.environ |= environment
    os.environ.pop("PYTHONPATH")
    os.chdir(folder)
    sys.argv = ["monitor", *words]
    if kill is not None:
        kill_at(*kill)
    status = 0
    try:
        monitor.__main__.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # whatever ends a command
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def kill_at(step: object, noted: object) -> None:
    """Have the journal kill this process."""
    from monitor.retraining.progress_file import Progress

    reached, end = Progress.reached, Progress.end

    def die(name: str, after: bool) -> None:
        if (name, after) == (step, noted):
            os.kill(os.getpid(), signal.SIGKILL)

    def reached_or_die(progress: Progress, name: str, **known: object) -> None:
        die(name, after=False)
        reached(progress, name, **known)
        die(name, after=True)

    def end_or_die(progress: Progress) -> None:
        die("ended", after=False)
        end(progress)
        die("ended", after=True)

    Progress.reached = reached_or_die  # type: ignore[method-assign,assignment]
    Progress.end = end_or_die  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main()
