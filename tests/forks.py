"""DVC commands without the time that it takes to import DVC: a server that forks one for each line.

A line of its input is a command, and the answer is its exit status. Each command is a process of
its own, in its own folder and environment, and ends as the script `dvc` does.
"""

import functools
import importlib
import json
import os
import sys
from typing import Any

from dvc import cli

# What most commands load. Libraries that start threads must not be among them.
MODULES = (
    *("dvc.cli.parser", "dvc.data_cloud", "dvc.repo.open_repo", "dvc.repo.reproduce"),
    *("dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.plots", "dvc.repo.stage"),
    *("dvc.repo.index", "dvc.repo.experiments.show", "dvc.stage.run", "dvc.utils.strictyaml"),
    *("dvc.repo.experiments.executor.local", "dvc.repo.experiments.queue.celery", "dvc_s3"),
    *("dvc_data.hashfile.db.local", "networkx", "pyparsing", "ruamel.yaml"),
)


def run(arguments: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Become a DVC command whose both streams are a file."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for name, flags, streams in ((os.devnull, os.O_RDONLY, (0,)), (output, os.O_WRONLY, (1, 2))):
        opened = os.open(name, flags)
        for stream in streams:
            os.dup2(opened, stream)
        os.close(opened)
    sys.argv = ["dvc", *arguments]
    sys.exit(cli.main())


def main() -> None:
    for name in MODULES:
        importlib.import_module(name)
    # It is the same for every command.
    parser: Any = importlib.import_module("dvc.cli.parser")
    parser.get_main_parser = functools.cache(parser.get_main_parser)
    parser.get_main_parser()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(**json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
