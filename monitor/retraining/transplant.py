"""Carry what one commit changed over to another commit, in a clone.

A file may have changed on one side only. Of `params.yaml` both sides may have changed other lines;
`dvc.lock` and `metrics` are those of what is carried over, because they belong to its models.
"""

import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from monitor.retraining.decisions import FOLDER as DECISIONS
from monitor.retraining.training_clone import TrainingClone
from monitor.settings import MonitorError
from stages.common.errors import few
from stages.common.paths import METRICS
from stages.common.sections import PARAMS_FILE
from versions import as_of
from versions.repository import git
from versions.repository.lock import LOCK_FILE


@dataclass(frozen=True)
class Transplant:
    """What is carried over.

    Attributes:
        clone: where.
        base, source: the change from `base` to `source`.
        onto: the commit that gets it.
    """

    clone: TrainingClone
    base: str
    source: str
    onto: str

    def apply(self) -> None:
        """Check `onto` out in the clone, and change its files.

        Raises:
            MonitorError: both sides changed the same lines.
        """
        self.clone.git("checkout", "--quiet", "--force", "--detach", self.onto)
        names = self._changed(self.base, self.source)
        here = self._changed(self.base, self.onto)
        results = [name for name in {*names, *here} if _is_result(name)]
        apart = (str(PARAMS_FILE), str(DECISIONS))
        code = [
            name
            for name in names
            if not _is_result(name) and not any(Path(name).is_relative_to(each) for each in apart)
        ]
        both = [name for name in code if name in here and not self._same(name)]
        if both:
            raise MonitorError(
                f"{few(both)} changed here since the challenger was trained; train it again"
            )
        params = self._params()
        for name in [*code, *results]:
            self._take(name)
        (self.clone.folder / PARAMS_FILE).write_bytes(params)

    def newest(self) -> date:
        """The later `data.as_of` of both."""
        days = (
            str(yaml.safe_load(self._text(commit, PARAMS_FILE))["data"]["as_of"])
            for commit in (self.source, self.onto)
        )
        return max(map(date.fromisoformat, days))

    def _changed(self, one: str, other: str) -> list[str]:
        listed = self.clone.git("diff", "--name-only", "--no-renames", "-z", one, other)
        return [name for name in listed.split("\0") if name]

    def _same(self, name: str) -> bool:
        one, other = (
            git.content(each, name, self.clone.folder) for each in (self.source, self.onto)
        )
        return one == other

    def _take(self, name: str) -> None:
        path = self.clone.folder / name
        if git.content(self.source, name, self.clone.folder) is None:
            path.unlink(missing_ok=True)
        else:
            self.clone.git("checkout", "--quiet", self.source, "--", name)

    def _text(self, commit: str, path: Path) -> bytes:
        return git.content(commit, path, self.clone.folder) or b""

    def _params(self) -> bytes:
        """Both changes of `params.yaml`, with the source's `data.as_of`."""
        base, source, onto = (
            self._text(commit, PARAMS_FILE).decode("utf-8")
            for commit in (self.base, self.source, self.onto)
        )
        day = str(as_of.read(source))
        with TemporaryDirectory() as folder:
            files = []
            for name, text in (("onto", onto), ("base", base), ("source", source)):
                path = Path(folder) / name
                path.write_bytes(as_of.moved(text, day).encode("utf-8"))
                files.append(str(path))
            done = subprocess.run(  # noqa: S603  # no shell
                ["git", "merge-file", "-p", *files],  # noqa: S607  # found by PATH
                capture_output=True,
                check=False,
            )
        if done.returncode:
            raise MonitorError(
                f"{PARAMS_FILE} changed here in the lines that the challenger changes; train it "
                "again"
            )
        return done.stdout


def _is_result(name: str) -> bool:
    return name == str(LOCK_FILE) or Path(name).is_relative_to(METRICS)
