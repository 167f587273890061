"""Git repositories with hand-made dvc.lock files."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def lock_text(outs: Mapping[str, str], deps: Mapping[str, str] | None = None) -> str:
    """A dvc.lock of one stage, in the form that DVC writes."""

    def section(name: str, entries: Mapping[str, str]) -> str:
        lines = "".join(
            f"    - path: {path}\n      hash: md5\n      md5: {md5}\n      size: 1\n"
            for path, md5 in entries.items()
        )
        return f"    {name}:\n{lines}" if lines else ""

    params = "    params:\n      params.yaml:\n        a: 1\n"
    return (
        "schema: '2.0'\nstages:\n  train:\n    cmd: train\n"
        f"{section('deps', deps or {})}{params}{section('outs', outs)}"
    )


class Repository:
    """A git repository of one test, in a folder of its own.

    Its commits are a day apart from each other, so that none depends on the clock.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.email", "tests@example.org")
        self.git("config", "user.name", "Tests")

    def git(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a git command."""
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def commit(self, text: str | None, subject: str = "Reproduce") -> str:
        """Commit everything, with this dvc.lock; returns the hash."""
        self.count += 1
        if text is not None:
            (self.folder / "dvc.lock").write_text(text, encoding="utf-8")
        self.git("add", "--all")
        day = f"2024-01-{self.count:02}T12:00:00+00:00"
        subprocess.run(
            ["git", "commit", "--quiet", "--allow-empty", f"--message={subject}"],
            cwd=self.folder,
            env={**os.environ, "GIT_COMMITTER_DATE": day, "GIT_AUTHOR_DATE": day},
            check=True,
        )
        return self.git("rev-parse", "HEAD")
