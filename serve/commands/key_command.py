"""`python -m serve keys`: make, list and remove keys of the API."""

import argparse
import sys
from typing import TYPE_CHECKING

from serve.edge import keyring
from serve.edge.keyring import KeysError
from serve.server_settings import Settings

if TYPE_CHECKING:
    from serve.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "keys",
        help="make, list and remove keys of the API",
        description="Keys of the API, in the file of SERVE_KEYS_FILE. A running server follows it.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a key and print it once")
    add.add_argument("name", help="of its holder")
    add.add_argument(
        "--role", action="append", choices=keyring.ROLES, required=True, help="may be repeated"
    )
    add.set_defaults(run=_add)
    actions.add_parser("list", help="list names and roles").set_defaults(run=_list)
    remove = actions.add_parser("remove", help="remove a key")
    remove.add_argument("name", help="of its holder")
    remove.set_defaults(run=_remove)


def _add(settings: Settings, arguments: argparse.Namespace) -> None:
    secret, key = keyring.make(arguments.name, arguments.role)
    path = settings.keys_file
    if path is None:
        sys.stdout.write(f"{secret}\n{key}\n")
        sys.stderr.write(
            "The first line is the key, shown this once. The second is what the server needs: "
            "put it into SERVE_KEYS, or into the file that SERVE_KEYS_FILE names.\n"
        )
        return
    known = keyring.read(path) if path.exists() else {}
    if key.name in known:
        raise KeysError(
            f"{path}: has a key named {key.name}; remove it first, or choose another name"
        )
    keyring.write(path, [*known.values(), key])
    sys.stdout.write(f"{secret}\n")
    sys.stderr.write(f"This is the key, shown this once; {path} keeps its hash.\n")


def _list(settings: Settings, _: argparse.Namespace) -> None:
    for key in keyring.Keyring(settings.keys, settings.keys_file):
        sys.stdout.write(f"{key.name}  {', '.join(sorted(key.roles))}\n")


def _remove(settings: Settings, arguments: argparse.Namespace) -> None:
    path = settings.keys_file
    if path is None:
        raise KeysError("SERVE_KEYS_FILE is not set; remove keys of SERVE_KEYS from that variable")
    known = keyring.read(path)
    if arguments.name not in known:
        raise KeysError(f"{path}: has no key named {arguments.name}")
    keyring.write(path, [key for name, key in known.items() if name != arguments.name])
