"""DVC as a command that reads `dvc.lock` with libyaml before it writes it.

    python -m versions.repository.quick_dvc repro latest

After each stage DVC reads all of `dvc.lock` with a parser in pure Python that keeps comments: a
third of a second on the sample. A lock has no comments, and so the bytes stay the same.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc import dvcfile
from dvc.cli import main
from dvc.utils.serialize import dump_yaml, load_yaml, modify_yaml

from versions.repository.lock import LOCK_FILE


@contextmanager
def _modify(path: str, **options: Any) -> Iterator[dict[str, Any]]:
    if Path(path).name != LOCK_FILE.name or not Path(path).exists():
        with modify_yaml(path, **options) as content:
            yield content
        return
    content = load_yaml(path, **options)
    yield content
    dump_yaml(path, content, **options)


if __name__ == "__main__":
    dvcfile.modify_yaml = _modify
    sys.exit(main(sys.argv[1:]))
