"""A repository with the committed results of the sample, and experiments made by git alone."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.histories import Repository
from tests.projects import ROOT


def evaluated(folder: Path, horizons: tuple[str, ...] = ("short", "long")) -> Repository:
    """One commit with params.yaml, dvc.lock and the metrics of some horizons."""
    folder.mkdir(exist_ok=True)
    repository = Repository(folder)
    for name in horizons:
        shutil.copytree(ROOT / "metrics" / name, folder / "metrics" / name)
        shutil.copy(ROOT / "metrics" / f"{name}.json", folder / "metrics")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, folder)
    repository.commit(None, "The sample")
    return repository


def add_experiments(
    repository: Repository,
    count: int,
    text: Callable[[int, str], str] = lambda number, text: text.replace(
        "    alpha: 10.0", f"    alpha: {number}.5"
    ),
) -> None:
    """Experiments `trial-0000` and so on, whose fold R2 is their number in millionths.

    Args:
        repository: on whose commit they are made.
        count: how many.
        text: from a number and params.yaml, its params.yaml.
    """
    base = repository.git("rev-parse", "HEAD")
    params = (repository.folder / "params.yaml").read_text(encoding="utf-8")
    metrics = {
        file: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted((repository.folder / "metrics").glob("*.json"))
    }
    lines: list[str] = []
    for number in range(count):
        ref = f"refs/exps/{base[:2]}/{base[2:]}/trial-{number:04}"
        lines += [
            f"commit {ref}",
            f"committer Tests <t@example.org> {1_700_000_000 + number} +0000",
        ]
        lines += ["data 5", "Trial", f"from {base}"]
        files = {"params.yaml": text(number, params)}
        for file, scores in metrics.items():
            moved = json.dumps({**scores, "fold_oos_r2": number / 1e6})
            files[str(file.relative_to(repository.folder))] = moved
        for name, content in files.items():
            lines += [f"M 644 inline {name}", f"data {len(content.encode())}", content]
    subprocess.run(
        ["git", "fast-import", "--quiet"],
        cwd=repository.folder,
        input="\n".join([*lines, ""]).encode(),
        check=True,
    )
