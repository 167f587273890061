"""Run DVC so that it writes of `dvc.lock` only the stages that have run.

    python -m versions.repository.lock_writer dvc repro latest

After each stage DVC parses all of `dvc.lock` and writes it again, with a parser that keeps
comments. On the sample that takes 0.6 s. Here the text of the other stages stays as it is. The
bytes are the same; a lock that DVC has not written in its usual form is left to DVC.
"""

import gc
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_END = re.compile(r"^(?! {3}|$)", re.MULTILINE)
"""Where an entry ends: a line that is indented no deeper than the name of a stage."""


def replaced(text: str, name: str, block: str) -> str | None:
    """A lock with the entry of one stage replaced; None where that needs a parser.

    Args:
        text: the lock.
        name: of the stage.
        block: a lock of this stage alone, as DVC writes it, that begins with `stages:`.
    """
    heading, _, entry = block.partition("\n")
    before, known, rest = text.partition(f"\n  {name}:\n")
    usual = heading == "stages:" and entry.startswith(f"  {name}:\n")
    # Another stage may refer to an anchor.
    if not (usual and known and "\nstages:\n" in f"{before}\n") or "&id" in text + block:
        return None
    end = _END.search(rest)
    return f"{before}\n{entry}{rest[end.start() :] if end else ''}"


def _dump_stages(lockfile: Any, stages: Sequence[Any], **options: Any) -> None:
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dumps_yaml

    path = Path(lockfile.path)
    former = path.read_bytes().decode("utf-8") if path.exists() else ""
    text: str | None = former
    for stage in stages:
        block = dumps_yaml({"stages": to_lockfile(stage, **options)})
        text = replaced(text, stage.name, block) if text is not None else None
    if text is None:
        _dump_all(lockfile, stages, **options)
    elif text != former:
        logger.info("Updating lock file '%s'", lockfile.relpath)
        path.write_bytes(text.encode("utf-8"))
        lockfile.repo.scm_context.track_file(lockfile.relpath)


if __name__ == "__main__":
    from dvc.cli import main
    from dvc.dvcfile import Lockfile, logger

    _dump_all, Lockfile.dump_stages = Lockfile.dump_stages, _dump_stages
    gc.enable()
    sys.exit(main(sys.argv[2:]))
