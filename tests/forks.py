"""A `dvc` for the tests: each of its processes is forked from one that has imported DVC.

Most of what a short command takes is its imports. Apart from that each command is a process of its
own, with the arguments, folder, environment and streams that it was given, and ends as `dvc` does.
"""

import atexit
import functools
import gc
import importlib
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
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
    made = Path(tempfile.mkdtemp(prefix="dvc-"))
    client, command = made / "client.py", made / "dvc"
    client.write_text(CLIENT, encoding="utf-8")
    # Neither settings of Python nor packages: it starts in a hundredth of a second.
    call = shlex.join([sys.executable, "-IS", str(client), str(made / "socket")])
    command.write_text(f'#!/bin/sh\nexec {call} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(made / "socket")],
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


def answer(connection: socket.socket) -> None:
    """Run the command of a client in a process of its own, and tell its exit status."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    asked = b"".join(iter(functools.partial(connection.recv, 65536), b""))
    child = os.fork()
    if not child:
        connection.close()
        become(os.fsdecode(asked), streams)
    _, status = os.waitpid(child, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def become(asked: str, streams: list[int]) -> NoReturn:
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
    sys.argv = ["dvc", *arguments[1:]]
    from dvc.cli import main

    status = main()
    # As an interpreter ends, but for taking down all the modules: that would copy the memory that
    # this process shares with the server.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def serve(address: str) -> None:
    for name in MODULES:
        importlib.import_module(name)
    # It is the same for every command.
    parser: Any = importlib.import_module("dvc.cli.parser")
    parser.get_main_parser = functools.cache(parser.get_main_parser)
    parser.get_main_parser()
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
                    answer(connection)
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
    serve(sys.argv[1])
