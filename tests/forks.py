"""A `dvc` for the tests: each of its processes is forked from one that has imported DVC.

Most of what a short command takes is its imports. Apart from that each command is a process of its
own, with the arguments, folder, environment and streams that it was given, and ends as `dvc` does.

`environment` does the same for `python -m stages.X` and `python -m versions.X`: each process
imports the modules of the project anew, from its folder. No signal to such a process reaches it:
what is about interruptions runs without.
"""

import atexit
import functools
import gc
import importlib
import os
import runpy
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

# What most commands load. Libraries that start threads must not be among them.
MODULES = (
    *("dvc.cli.parser", "dvc.data_cloud", "dvc.repo.open_repo", "dvc.repo.reproduce"),
    *("dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.plots", "dvc.repo.stage"),
    *("dvc.repo.index", "dvc.repo.experiments.show", "dvc.stage.run", "dvc.utils.strictyaml"),
    *("dvc.repo.experiments.executor.local", "dvc.repo.experiments.queue.celery", "dvc_s3"),
    *("dvc_data.hashfile.db.local", "networkx", "pyparsing", "ruamel.yaml", "s3fs"),
)

# What stages and the commands of versions import, and none of the project's own modules.
LIBRARIES = (
    *("dvc.repo", "dvc.repo.artifacts", "dvc_s3", "exchange_calendars", "great_expectations"),
    *("gto.api", "lightgbm", "onnxmltools", "onnxruntime", "pandas", "polars", "pyarrow.parquet"),
    *("pydantic", "rich.table", "ruamel.yaml", "s3fs", "scipy.special", "skl2onnx"),
    *("sklearn.ensemble", "sklearn.linear_model", "xgboost", "yaml"),
)

CLIENT = """
import os, socket, sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv.pop(1))
    socket.send_fds(server, [b"."], [0, 1, 2])
    fields = [os.getcwd(), str(len(sys.argv)), *sys.argv]
    fields += [f"{name}={value}" for name, value in os.environ.items()]
    server.sendall(os.fsencode("\\0".join(fields)))
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(8)))
"""


@functools.cache
def folder() -> Path:
    """A folder for PATH that holds this `dvc`; its server ends with this process."""
    made = started("dvc")
    write(made / "dvc", f'exec {client(made)} "$@"')
    return made


@functools.cache
def environment() -> Path:
    """This environment with such a `dvc` and a `python` beside it; it is a VENV of the Makefile."""
    made = started("python")
    prefix, programs = Path(sys.prefix), made / "bin"
    programs.mkdir()
    for path in (*prefix.iterdir(), *(prefix / "bin").iterdir()):
        link = made / path.relative_to(prefix)
        if path.name not in {"bin", "dvc", "python"}:
            link.symlink_to(path)
    write(programs / "dvc", f'exec {shlex.quote(str(folder() / "dvc"))} "$@"')
    write(
        programs / "python",
        'case "$1 $2" in',
        f'"-m dvc") shift 2; exec {shlex.quote(str(programs / "dvc"))} "$@" ;;',
        f'"-m stages."* | "-m versions."*) exec {client(made)} "$@" ;;',
        f'*) exec {shlex.quote(sys.executable)} "$@" ;;',
        "esac",
    )
    return made


def write(script: Path, *lines: str) -> None:
    script.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    script.chmod(0o755)


def client(made: Path) -> str:
    """How a shell hands a command to the server of a folder."""
    # Neither settings of Python nor packages: it starts in a hundredth of a second.
    return shlex.join([sys.executable, "-IS", str(made / "client.py"), str(made / "socket")])


def started(kind: str) -> Path:
    """The folder of a new server, which ends with this process."""
    made = Path(tempfile.mkdtemp(prefix=f"{kind}-"))
    (made / "client.py").write_text(CLIENT, encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, kind, str(made / "socket")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"

    def end() -> None:
        server.communicate()
        shutil.rmtree(made)

    atexit.register(end)
    return made


Run = Callable[[list[str]], int]


def answer(connection: socket.socket, run: Run) -> None:
    """Run the command of a client in a process of its own, and tell its exit status."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    asked = b"".join(iter(functools.partial(connection.recv, 65536), b""))
    child = os.fork()
    if not child:
        connection.close()
        become(os.fsdecode(asked), streams, run)
    _, status = os.waitpid(child, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def become(asked: str, streams: list[int], run: Run) -> NoReturn:
    here, count, *fields = asked.split("\0")
    arguments, environment = fields[: int(count)], fields[int(count) :]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(here)
    os.environ.clear()
    for pair in environment:
        name, _, value = pair.partition("=")
        os.environ[name] = value
    status = run(arguments[1:])
    # As an interpreter ends, but for taking down all the modules: that would copy the memory that
    # this process shares with the server.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def dvc(arguments: list[str]) -> int:
    from dvc.cli import main

    sys.argv = ["dvc", *arguments]
    return int(main())


def python(arguments: list[str]) -> int:
    """Run a module as `python -m` does."""
    _, name, *sys.argv[1:] = arguments
    sys.path.insert(0, str(Path.cwd()))
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # as the interpreter ends
        traceback.print_exc()
        return 1
    return 0


def serve(kind: str, address: str) -> None:
    for name in MODULES if kind == "dvc" else LIBRARIES:
        importlib.import_module(name)
    if kind == "dvc":
        # It is the same for every command.
        parser: Any = importlib.import_module("dvc.cli.parser")
        parser.get_main_parser = functools.cache(parser.get_main_parser)
        parser.get_main_parser()
    keep_service_models()
    botocore: Any = importlib.import_module("botocore.session")
    botocore.Session().create_client("s3", region_name="us-east-1")
    # The garbage collector of a child does not touch, and so copy, what is there by now.
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        # Its input ends with the process that started it.
        while server in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            with connection:
                if not os.fork():
                    server.close()
                    answer(connection, dvc if kind == "dvc" else python)
                    os._exit(0)
            while _ended():
                pass


def keep_service_models() -> None:
    """Have botocore read its megabyte of JSON about S3 once in a process, not for each client."""
    loader: Any = importlib.import_module("botocore.loaders").JSONFileLoader
    if hasattr(loader.load_file, "__wrapped__"):
        return
    read = functools.cache(functools.partial(loader.load_file, loader()))

    @functools.wraps(loader.load_file)
    def load_file(_: object, path: str) -> object:
        return read(path)

    loader.load_file = load_file


def _ended() -> bool:
    """Whether a child that has ended was waiting for its parent to take note."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


if __name__ == "__main__":
    serve(*sys.argv[1:])
