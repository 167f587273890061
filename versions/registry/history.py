"""The history of a horizon: its versions, and the versions in each stage over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from versions.registry import tags
from versions.registry.tags import Tag

BACK = "Rolled-back:"
"""Starts the line of an annotation that marks a roll back."""


@dataclass
class History:
    """The history of one horizon.

    Attributes:
        versions: the tag that registered each version, oldest first, without those taken back.
        assignments: the tags that assigned each stage or took it back, oldest first.
        counter: the highest number of an assignment.
    """

    versions: dict[str, Tag] = field(default_factory=dict)
    assignments: dict[str, list[Tag]] = field(default_factory=dict)
    counter: int = 0

    def newest_first(self) -> list[str]:
        """The versions in the order of semantic versioning, highest first."""
        from gto.versions import SemVer

        return sorted(self.versions, key=SemVer, reverse=True)

    def version(self, tag: Tag) -> str:
        """The version of an assignment's commit; its short hash if it was never registered."""
        names = (name for name, each in self.versions.items() if each.commit == tag.commit)
        return next(names, tag.commit[:7])

    def assignment(self, stage: str) -> Tag | None:
        """The tag that put the present version into a stage: the newest that was not taken back."""
        taken_back: set[str] = set()
        for tag in reversed(self.assignments.get(stage, [])):
            if tag.cancels:
                taken_back.add(tag.commit)
            elif tag.commit not in taken_back:
                return tag
        return None

    def current(self, stage: str) -> str | None:
        """The version in a stage."""
        tag = self.assignment(stage)
        return None if tag is None else self.version(tag)

    def path(self, stage: str) -> list[str]:
        """The versions that lead to the present one, oldest first.

        A promotion adds its version. A roll back removes the newest versions, down to the one that
        it puts back. So two roll backs go two versions back, and not to and fro between two.
        """
        path: list[str] = []
        for tag in self.assignments.get(stage, []):
            version = self.version(tag)
            if tag.cancels:
                path = [name for name in path if name != version]
            elif _is_back(tag) and version in path:
                del path[len(path) - path[::-1].index(version) :]
            else:
                path.append(version)
            path = [name for here, name in enumerate(path) if path[here - 1 : here] != [name]]
        current = self.current(stage)
        if current is not None and path[-1:] != [current]:
            path.append(current)
        return path

    def former(self, stage: str) -> str | None:
        """The version that a roll back puts back: the last registered one before the present."""
        before = reversed(self.path(stage)[:-1])
        return next((name for name in before if name in self.versions), None)


def _is_back(tag: Tag) -> bool:
    return any(line.startswith(BACK) for line in tag.message.splitlines())


def read(folder: Path | None = None) -> dict[str, History]:
    """The history of each horizon with tags, by name."""
    horizons: dict[str, History] = {}
    for tag in tags.read(folder):
        history = horizons.setdefault(tag.artifact, History())
        if tag.stage is not None:
            history.assignments.setdefault(tag.stage, []).append(tag)
            history.counter = max(history.counter, tag.counter)
        elif tag.version is not None:
            if tag.cancels:
                history.versions.pop(tag.version, None)
            else:
                history.versions[tag.version] = tag
    return horizons


def stages(history: History) -> Mapping[str, str]:
    """The version in each stage that has one."""
    current = {name: history.current(name) for name in sorted(history.assignments)}
    return {name: version for name, version in current.items() if version is not None}
