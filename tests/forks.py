"""A `dvc` and a `python` for the tests: each is forked from a process that has imported a lot.

Most of what a short command takes is its imports. Apart from that each command is a process of its
own, with the arguments, folder, environment and streams that it was given, and ends as it does
elsewhere. `python -m` imports the stages, `versions` and `monitor` of the folder in which it is
run; for anything else, and with a PYTHONPATH or under coverage, `python` is the interpreter itself.
The two are in `bin` of a folder that make takes as an environment (`make VENV=...`).
"""

import atexit
import functools
import gc
import hashlib
import importlib
import os
import pickle
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
from pathlib import Path
from typing import Any, NoReturn

# What most commands load. Libraries that start threads of their own when they are imported, such as
# onnxruntime, must not be among them; polars starts its pool when it first computes.
MODULES = {
    "dvc": (
        *("dvc.cli.parser", "dvc.data_cloud", "dvc.repo.open_repo", "dvc.repo.reproduce"),
        *("dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.plots", "dvc.repo.stage"),
        *("dvc.repo.index", "dvc.repo.experiments.show", "dvc.stage.run", "dvc.utils.strictyaml"),
        *("dvc.repo.experiments.executor.local", "dvc.repo.experiments.queue.celery", "dvc_s3"),
        *("dvc_data.hashfile.db.local", "networkx", "pyparsing", "ruamel.yaml", "s3fs"),
        *("celery.apps.worker", "dvc.repo.experiments.queue.tempdir", "hydra", "pygit2"),
    ),
    "python": (
        *("annotated_types", "coreforecast", "exchange_calendars", "great_expectations", "onnx"),
        *("optuna", "pandas", "polars", "pyarrow.parquet", "pydantic.main", "rich.console"),
        *("rich.table", "ruamel.yaml", "scipy.stats", "threadpoolctl", "tqdm", "yaml"),
        *("dvc.repo.artifacts", "dvc.repo.open_repo", "dvc_s3", "gto.api", "s3fs"),
    ),
}

TEMPORARY = tempfile.gettempdir()
"""Of when the tests began: the path of a socket has to be short, and a test may set TMPDIR."""

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


PYTHON = """#!/bin/sh
case "${{PYTHONPATH-}}${{COVERAGE_PROCESS_CONFIG-}}$1 $2" in
"-m stages."* | "-m versions."* | "-m monitor" | "-m monitor."*) exec {python} "$@" ;;
"-m dvc") shift 2 && exec {dvc} "$@" ;;
esac
exec {interpreter} "$@"
"""


SETTINGS = {"LC_ALL": "C.UTF-8", "DVC_NO_ANALYTICS": "true", "GX_ANALYTICS_ENABLED": "false"}
"""What an interpreter and some libraries read only once, when they start."""

SHARED = "TESTS_FORKS"
"""The variable by which workers know the environment of the process that started them."""


@functools.cache
def folder() -> Path:
    """An environment that holds the two commands; their server ends with the process that began."""
    if SHARED in os.environ:
        return Path(os.environ[SHARED])
    environment = Path(tempfile.mkdtemp(prefix="venv-", dir=TEMPORARY))
    (environment / "bin").mkdir()
    for lock in Path(sys.prefix).glob("requirements*.txt"):
        (environment / lock.name).symlink_to(lock)
    # `make s3` looks for it beside its Python.
    (environment / "bin" / "rclone").symlink_to(Path(sys.executable).with_name("rclone"))
    client = environment / "client.py"
    client.write_text(CLIENT, encoding="utf-8")
    # Neither settings of Python nor packages: it starts in a hundredth of a second.
    call = {
        name: shlex.join([sys.executable, "-IS", str(client), str(environment / f"{name}.socket")])
        for name in MODULES
    }
    scripts = {
        "dvc": f'#!/bin/sh\nexec {call["dvc"]} "$@"\n',
        "python": PYTHON.format(**call, interpreter=shlex.quote(sys.executable)),
    }
    for name, script in scripts.items():
        (environment / "bin" / name).write_text(script, encoding="utf-8")
        (environment / "bin" / name).chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(environment)],
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        | SETTINGS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"

    def end() -> None:
        server.communicate()
        shutil.rmtree(environment)

    atexit.register(end)
    return environment


def answer(name: str, connection: socket.socket) -> None:
    """Run the command of a client in a process of its own, and tell its exit status."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request = b"".join(iter(functools.partial(connection.recv, 65536), b""))
    child = os.fork()
    if not child:
        connection.close()
        become(name, os.fsdecode(request), streams)
    _, status = os.waitpid(child, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def become(name: str, request: str, streams: list[int]) -> NoReturn:
    here, count, *fields = request.split("\0")
    arguments, environment = fields[1 : int(count)], fields[int(count) :]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(here)
    os.environ.clear()
    for pair in environment:
        variable, _, value = pair.partition("=")
        os.environ[variable] = value
    status = {"dvc": dvc, "python": python}[name](arguments)
    # As an interpreter ends, but for taking down all the modules: that would copy the memory that
    # this process shares with the server.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def dvc(arguments: list[str]) -> int:
    sys.argv = ["dvc", *arguments]
    from dvc.cli import main

    status: int = main()
    return status


def python(arguments: list[str]) -> int:
    """Run `-m <module> ...`, and give its exit status as the interpreter does."""
    sys.argv = arguments[1:]
    sys.path.insert(0, str(Path.cwd()))
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # whatever ends a module
        traceback.print_exc()
        return 1
    return 0


@functools.cache
def load(name: str) -> None:
    """Import what a command needs, once."""
    for module in MODULES[name]:
        importlib.import_module(module)
    if name == "dvc":
        # It is the same for every command.
        parser: Any = importlib.import_module("dvc.cli.parser")
        parser.get_main_parser = functools.cache(parser.get_main_parser)
        parser.get_main_parser()
    keep_service_models()
    keep_yaml(Path(sys.argv[1]) / "yaml")
    botocore: Any = importlib.import_module("botocore.session")
    botocore.Session().create_client("s3", region_name="us-east-1")
    # The garbage collector of a child does not touch, and so copy, what is there by now.
    gc.freeze()


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


def keep_yaml(cache: Path) -> None:
    """Have DVC parse the same YAML once for all commands: a run reads `params.yaml` fifty times.

    Args:
        cache: the folder of what was parsed, shared by the processes.
    """
    cache.mkdir(exist_ok=True)
    loader: Any = importlib.import_module("ruamel.yaml").YAML
    if hasattr(loader.load, "__wrapped__"):
        return
    parse = loader.load

    @functools.wraps(parse)
    def load(self: Any, text: Any) -> object:
        if self.typ != ["safe"] or not isinstance(text, str):
            return parse(self, text)
        path = cache / hashlib.sha256(text.encode()).hexdigest()
        if path.exists():
            return pickle.loads(path.read_bytes())  # noqa: S301  # written below
        content = parse(self, text)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(pickle.dumps(content))
        partial.rename(path)
        return content

    loader.load = load


def serve(environment: Path) -> None:
    # A module that starts another one with it gets a process that is forked, too.
    sys.executable = str(environment / "bin" / "python")
    sockets = {}
    for name in MODULES:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(environment / f"{name}.socket"))
        listener.listen()
        sockets[listener] = name
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    # Its input ends with the process that started it.
    while ready := sockets.keys() & set(select.select([*sockets, sys.stdin], [], [])[0]):
        for listener in ready:
            load(sockets[listener])
            connection, _ = listener.accept()
            with connection:
                if not os.fork():
                    for each in sockets:
                        each.close()
                    answer(sockets[listener], connection)
                    os._exit(0)
        while _ended():
            pass


def _ended() -> bool:
    """Whether a child that has ended was waiting for its parent to take note."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
