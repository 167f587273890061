"""What the tags of a horizon say: its versions, and what was in each stage in turn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from versions.registry import tags
from versions.registry.tags import Tag

BACK = "Rolled-back:"
"""Opens the line of an annotation by which a roll back differs from a promotion."""


@dataclass
class History:
    """The record of one horizon.

    Attributes:
        versions: the tag that registered each, oldest first; those taken back are left out.
        assignments: per stage, each tag that assigned it or took it back, oldest first.
        counter: the highest number of an assignment.
    """

    versions: dict[str, Tag] = field(default_factory=dict)
    assignments: dict[str, list[Tag]] = field(default_factory=dict)
    counter: int = 0

    def newest_first(self) -> list[str]:
        """The versions in the order of semantic versioning, the highest first."""
        from gto.versions import SemVer

        return sorted(self.versions, key=SemVer, reverse=True)

    def version(self, tag: Tag) -> str:
        """The version of an assignment's commit; its short hash where it was never registered."""
        for name, registered in self.versions.items():
            if registered.commit == tag.commit:
                return name
        return tag.commit[:7]

    def current(self, stage: str) -> str | None:
        """The version in a stage: the newest assignment that was not taken back, as in GTO."""
        taken_back: set[str] = set()
        for tag in reversed(self.assignments.get(stage, [])):
            if tag.cancels:
                taken_back.add(tag.commit)
            elif tag.commit not in taken_back:
                return self.version(tag)
        return None

    def path(self, stage: str) -> list[str]:
        """The versions that lead to the present one, oldest first.

        A promotion adds its version. A roll back takes the newest ones off, down to the version
        that it put back: rolling back twice goes two versions back, and never to and fro between
        one that is bad and another.
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
        """The version that a roll back puts back: the one before the present, still registered."""
        before = reversed(self.path(stage)[:-1])
        return next((name for name in before if name in self.versions), None)


def _is_back(tag: Tag) -> bool:
    return any(line.startswith(BACK) for line in tag.message.splitlines())


def read(folder: Path | None = None) -> dict[str, History]:
    """The record of every horizon that has one, by name."""
    return of(tags.read(folder))


def of(record: Iterable[Tag]) -> dict[str, History]:
    """Sort tags, oldest first, by what they speak of."""
    found: dict[str, History] = {}
    for tag in record:
        history = found.setdefault(tag.artifact, History())
        if tag.stage is not None:
            history.assignments.setdefault(tag.stage, []).append(tag)
            history.counter = max(history.counter, tag.counter)
        elif tag.version is not None:
            if tag.cancels:
                history.versions.pop(tag.version, None)
            else:
                history.versions[tag.version] = tag
    return found


def stages(history: History) -> Mapping[str, str]:
    """The version that is in each stage."""
    found = {name: history.current(name) for name in sorted(history.assignments)}
    return {name: version for name, version in found.items() if version is not None}
