"""Follow the challengers: models that are tried beside those that are checked out.

The monitor puts one into `challengers/<horizon>/` below the server's own folder, and takes it away
again. Such a folder has `model.onnx`, its `card.json`, and `challenger.json`, which says what may
be done with it. A challenger is read and checked as a bundle is; whatever is wrong with it, the
models of the checkout go on alone.
"""

import hashlib
import logging
import threading
import timeit
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from serve.checkout import bundle_files, loading, model_checks
from serve.checkout.bundle import Bundle, Card, Model
from serve.checkout.bundle_files import BundleError
from serve.checkout.provenance import Revision
from serve.file_state import stamp
from stages.forecast.session import Session

log = logging.getLogger("serve")

FOLDER = Path("challengers")
"""Below the server's own folder."""

FILES = ("challenger.json", "card.json", "model.onnx")

SLOWEST = 0.02
"""Seconds that a challenger may take for a row: every answer waits for it."""

CALLS = 5
"""Calls that are timed; the fastest counts, since a machine may be busy with other things."""


class Announced(BaseModel):
    """What `challenger.json` says.

    Attributes:
        commit: that made the model.
        model_md5: of its `model.onnx`.
        version: its release, if it has one.
        mode: `shadow`: its forecasts are only logged; `canary`: it answers a share of the callers.
        share: of the callers that a canary answers.
    """

    # All of these are logged: no database may refuse them.
    commit: str = Field(pattern=r"^[0-9a-f]{7,64}$")
    model_md5: str = Field(pattern=r"^[0-9a-f]{32}$")
    version: str | None = Field(None, pattern=r"^[A-Za-z0-9.+-]{1,32}$")
    mode: Literal["shadow", "canary"]
    share: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _has_share(self) -> Self:
        if self.mode == "canary" and self.share is None:
            raise ValueError("a canary needs a share, from 0 to 1")
        return self


@dataclass
class Challenger:
    """A challenger that is ready.

    Attributes:
        announced: what `challenger.json` says.
        bundle: its own: its model, on the bars of the bundle that serves.
        beside: the bundle that serves.
        failures: rows that it had no forecast for.
        failure: why, of the newest of them.
    """

    announced: Announced
    bundle: Bundle
    beside: Bundle
    failures: int = 0
    failure: str = ""

    @property
    def model(self) -> Model:
        """Its model."""
        (model,) = self.bundle.models.values()
        return model

    def answers(self, caller: str) -> bool:
        """Whether it answers a caller of some name: always, or never, as long as it stays.

        A hash decides, in which the md5 of the model lets each challenger answer others.
        """
        if self.announced.mode == "shadow":
            return False
        text = f"{self.announced.model_md5} {caller}".encode(errors="replace")
        digest = hashlib.blake2b(text, digest_size=8).digest()
        return int.from_bytes(digest) / 2**64 < (self.announced.share or 0.0)


class Challengers:
    """Holds the challengers, and replaces them.

    Args:
        folder: where they come, within the project.

    Attributes:
        refused: by horizon, why a challenger is not used.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self.ready: Mapping[str, Challenger] = {}
        self.refused: Mapping[str, str] = {}
        self._models: dict[str, tuple[object, Announced, Model]] = {}
        self._bundle: Bundle | None = None
        self._last_state: object = ()
        self._lock = threading.RLock()

    def of(self, horizon: str, bundle: Bundle) -> Challenger | None:
        """The challenger of a horizon, if it was joined with this bundle."""
        challenger = self.ready.get(horizon)
        return challenger if challenger is not None and challenger.beside is bundle else None

    @property
    def changed(self) -> bool:
        """Whether a folder has changed since the last look."""
        return self._state() != self._last_state

    def join(self, bundle: Bundle) -> None:
        """Put the challengers beside another bundle; from any thread."""
        with self._lock:
            self._bundle = bundle
            self.look()

    def look(self) -> None:
        """Load new and changed challengers, and drop those that are gone; from any thread."""
        with self._lock:
            self._last_state = state = self._state()
            ready: dict[str, Challenger] = {}
            refused: dict[str, str] = {}
            for horizon, files in state.items():
                try:
                    ready[horizon] = self._challenger(horizon, files)
                except BundleError as error:
                    refused[horizon] = str(error)
                except Exception as error:  # noqa: BLE001  # perhaps of a later version
                    refused[horizon] = (
                        f"{self._folder / horizon}: cannot be used ({type(error).__name__}: "
                        f"{bundle_files.reason(error)})"
                    )
            self._models = {name: self._models[name] for name in ready}
            self._log_changes(ready, refused)
            self.ready, self.refused = ready, refused

    def _log_changes(self, ready: Mapping[str, Challenger], refused: Mapping[str, str]) -> None:
        for horizon, problem in refused.items():
            if self.refused.get(horizon) != problem:
                log.warning("the challenger of %s is not used: %s", horizon, problem)
        for horizon, challenger in ready.items():
            former = self.ready.get(horizon)
            if former is None or former.announced != challenger.announced:
                announced = challenger.announced
                log.info(
                    "the challenger of %s is %s, as %s", horizon, announced.commit, announced.mode
                )
        for horizon in self.ready.keys() - ready.keys():
            log.info("the challenger of %s has ended", horizon)

    def _state(self) -> dict[str, object]:
        """By horizon, a value that changes with each file of a challenger's folder."""
        try:
            return {
                folder.name: tuple(stamp(folder / name) for name in FILES)
                for folder in sorted((self._root / self._folder).iterdir())
                # The monitor puts a folder together under a name with a dot.
                if not folder.name.startswith(".") and folder.is_dir()
            }
        except OSError:
            return {}

    def _challenger(self, horizon: str, files: object) -> Challenger:
        """A challenger beside the bundle, the former one where nothing has changed.

        Raises:
            BundleError: it cannot be used.
        """
        if self._bundle is None:
            raise BundleError("no revision is loaded yet")
        known = self._models.get(horizon)
        if known is None or known[0] != files:
            known = (files, *self._load(horizon))
        former = self.of(horizon, self._bundle)
        self._models[horizon] = known
        _, announced, model = known
        if former is not None and former.model is model:
            return former
        return self._joined(announced, model, self._bundle)

    def _load(self, horizon: str) -> tuple[Announced, Model]:
        announcement, card_path, graph = (self._folder / horizon / name for name in FILES)
        parsed = bundle_files.parsed
        announced = parsed(announcement, self._read(announcement), Announced.model_validate_json)
        content = self._read(graph)
        if (md5 := bundle_files.md5_of(content)) != announced.model_md5:
            raise BundleError(f"{graph}: md5 is {md5}, challenger.json has {announced.model_md5}")
        card = parsed(card_path, self._read(card_path), Card.model_validate_json)
        session = parsed(graph, content, Session)
        model_checks.check_width(session, card, graph, card_path)
        model = Model(horizon, card, session, md5)
        model_checks.check_forecast(model, graph)
        _check_speed(model, graph)
        return announced, model

    def _joined(self, announced: Announced, model: Model, bundle: Bundle) -> Challenger:
        horizon, path = model.name, self._folder / model.name
        champion = bundle.models.get(horizon)
        if champion is None:
            raise BundleError(
                f"{path}: the revision has no horizon {horizon}; it has {', '.join(bundle.models)}"
            )
        if champion.md5 == model.md5:
            raise BundleError(f"{path}: {model.md5} is the model that serves")
        model_checks.check_horizon(model.card, horizon, champion.card.sessions, path / "card.json")
        model_checks.check_features(model.card, bundle.latest, path / "card.json")
        models = {horizon: model}
        versions = {} if announced.version is None else {horizon: announced.version}
        own = replace(
            bundle,
            revision=Revision(announced.commit, versions),
            models=models,
            rows=loading.rows_of(bundle.latest, models),
        )
        return Challenger(announced, own, bundle)

    def _read(self, path: Path) -> bytes:
        try:
            return (self._root / path).read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: {bundle_files.reason(error)}") from None


def _check_speed(model: Model, path: Path) -> None:
    row = np.zeros((1, len(model.card.features)), np.float32)
    call = partial(model.session, row, np.zeros((1, 1), np.int64))
    seconds = min(timeit.repeat(call, number=1, repeat=CALLS))
    if seconds > SLOWEST:
        raise BundleError(
            f"{path}: takes {seconds * 1000:.0f} ms for a row; a challenger may take "
            f"{SLOWEST * 1000:.0f}"
        )
