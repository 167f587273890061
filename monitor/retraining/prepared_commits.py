"""The commits of a promotion or a roll back, prepared in a clone: then one step moves all."""

from dataclasses import dataclass

from monitor.retraining.contestant import at
from monitor.retraining.decisions import Decision, title
from monitor.retraining.training_clone import TrainingClone
from monitor.retraining.transplant import Transplant
from monitor.settings import MonitorError
from stages.common.errors import VersionError
from versions.registry import history, registration
from versions.repository import git, pipeline

PRODUCTION = "production"


@dataclass(frozen=True)
class Release:
    """A version that is put into production: of a horizon, at a commit."""

    horizon: str
    version: str
    commit: str

    @property
    def tag(self) -> str:
        """The tag that registers it."""
        return f"{self.horizon}@{self.version}"


@dataclass(frozen=True)
class Commits:
    """What was prepared.

    Attributes:
        models: the commit with the models as they were trained.
        tip: the same, or a commit after it with the newest bars.
    """

    models: str
    tip: str


def prepare(transplant: Transplant, decision: Decision) -> Commits:
    """Commit what is carried over with the record of the decision, then bring the newest bars.

    Raises:
        MonitorError: both sides changed the same, or what is carried over does not fit the code
            here.
    """
    clone = transplant.clone
    transplant.apply()
    (clone.folder / decision.path).parent.mkdir(exist_ok=True)
    (clone.folder / decision.path).write_bytes(decision.text().encode())
    source = at(transplant.source, clone.folder)
    stages = pipeline.parse(git.content("HEAD", pipeline.PIPELINE_FILE, clone.folder) or b"")
    if "params" in (stages.get("stages") or {}) and clone.git("diff", "--name-only", source.commit):
        # Its check reads the whole of params.yaml, and no model depends on that.
        clone.dvc("repro", "--quiet", "params")
    models = _commit(clone, title(decision), str(decision.path))
    if at(models, clone.folder).md5s() != source.md5s():
        raise MonitorError("the models of the challenger are not those of its dvc.lock")
    day = transplant.newest()
    if day <= source.newest:
        return Commits(models, models)
    clone.refresh(str(day))
    return Commits(models, _commit(clone, f"Refresh to {day}"))


def _commit(clone: TrainingClone, message: str, *new: str) -> str:
    clone.git("add", "--update")
    if new:
        clone.git("add", "--", *new)
    clone.git("commit", "--quiet", "--no-verify", "--allow-empty", f"--message={message}")
    return git.commit("HEAD", clone.folder)


def releases(clone: TrainingClone, champion: dict[str, str], models: str) -> list[Release]:
    """Register, in the clone, the versions that a promotion puts into production, in this order.

    A champion that is not in production is released first, so that a roll back can return to it.

    Args:
        clone: where.
        champion: the commit at which the champion of each horizon was trained.
        models: the commit of the challenger.

    Raises:
        VersionError: a commit cannot be released, for example because its lock does not match.
    """
    released = []
    for horizon, trained in champion.items():
        record = history.read(clone.folder).get(horizon, history.History())
        current = record.current(PRODUCTION)
        known = {tag.commit: version for version, tag in record.versions.items()}
        served = at(trained, clone.folder).md5(horizon)
        in_production = current in record.versions and (
            _md5(clone, record.versions[current].commit, horizon) == served
        )
        if not in_production:
            version = known.get(trained) or _register(clone, horizon, trained)
            released.append(Release(horizon, version, trained))
        released.append(Release(horizon, _register(clone, horizon, models), models))
    return released


def _register(clone: TrainingClone, horizon: str, commit: str) -> str:
    clone.git("checkout", "--quiet", "--force", "--detach", commit)
    # An older commit does not ignore the files of a horizon that came later.
    clone.git("clean", "--quiet", "--force", "-d")
    return registration.register(horizon, folder=clone.folder).partition("@")[2]


def _md5(clone: TrainingClone, commit: str, horizon: str) -> str | None:
    try:
        return at(commit, clone.folder).md5(horizon)
    except (MonitorError, VersionError):
        return None
