"""The loop on past data: bars come in, forecasts are asked for, checks run, challengers compete.

A period is some sessions. At its end the bars of its sessions come in; then the server is asked for
the forecast of each of them, from the bar of that session and those before it; then the round of
checks runs as of the last session, and what follows from it. So nothing knows a later bar.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from sqlalchemy import Engine

from monitor import checking_round, due_labels, live_forecasts, measuring, refreshing
from monitor import settings as monitor_settings
from monitor.live_forecasts import Window
from monitor.retraining import retrain, rollback, waiting
from monitor.retraining.decisions import Decision
from monitor.retraining.retrain import Proposal
from monitor.settings import MonitorError, Settings
from monitor.simulation import faulty_bars, sandbox, simulation_plot
from monitor.simulation.live_server import LiveServer
from monitor.simulation.plan import FAULTS, Fault, Plan
from monitor.simulation.sandbox import Sandbox
from monitor.simulation.timeline import Timeline
from monitor.store import metric_history, records
from stages.common import sections, tables
from stages.common.errors import StageError
from stages.common.paths import CLEAN_DAILY
from stages.common.sections import DataParams, Horizons, Sections
from stages.monitor_params import MonitorParams
from versions.registry import history
from versions.repository import git

if TYPE_CHECKING:
    from monitor.measuring import Step

AFTER_CLOSE = time(22)
"""When a round runs, in UTC."""

LATE = 10
"""Sessions by which late labels are late."""

LABELLED = 0.63
"""Share of the bars that late labels are made of: both ends of a return are there for 40 %."""


class _Pipeline(Sections):
    data: DataParams
    horizons: Horizons


@dataclass
class Loop:
    """A simulation that runs; the working folder is the project of the sandbox.

    Attributes:
        plan: what is simulated.
        here: the sandbox.
        bars: of the whole span, as `faulty_bars.adjusted` gives them.
        timeline: what has happened.
    """

    plan: Plan
    here: Sandbox
    bars: pl.DataFrame
    timeline: Timeline
    drift: list[tuple[date, float]] = field(default_factory=list)
    _firing: set[tuple[str, str]] = field(default_factory=set)
    _served: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        days = sandbox.sessions(self.bars)
        self.periods = self.plan.periods(days)
        self.faults = self.plan.faulty(self.periods)
        self.before = max(day for day in days if day < self.plan.first)
        self.thresholds: MonitorParams = monitor_settings.thresholds()
        self.horizons = list(sections.load(_Pipeline).horizons)
        self.symbols = self.bars["symbol"].unique(maintain_order=True).to_list()

    def run(self) -> LiveServer:
        """Train the first champion, and go through the periods; returns the server's counts."""
        self._begin()
        with LiveServer(Path.cwd(), self.here.environment) as server:
            server.follows(git.commit(), self.before)
            for period in self.periods:
                self._period(server, period)
        return server

    def _begin(self) -> None:
        day = self.before
        self._stock(day)
        self.here.python("versions.refresh", str(day))
        self.here.commit("The first champion")
        for horizon in self.horizons:
            self.here.python("versions.release", "register", horizon)
            self.here.python("versions.release", "promote", horizon, "v1.0.0")
            self.timeline.add(day, "promoted", horizon, "v1.0.0 is the first champion")

    def _stock(self, day: date) -> None:
        bars = faulty_bars.with_faults(self.bars, self.faults, day, self.plan.step)
        named = sections.read()["data"]["symbol_levels"]
        levels = faulty_bars.series(bars, self._turn(), self.plan.seed) if named else {}
        if sandbox.stock(Path.cwd(), bars, levels):
            self.here.commit(f"What the source gives on {day}")

    def _turn(self) -> date | None:
        """The first session on which the new series mislead: of the period after they are used."""
        for fault in self.faults:
            if fault.name == "turning-challenger":
                later = [period[0] for period in self.periods if period[0] > fault.day]
                return later[0] if later else None
        return None

    def _period(self, server: LiveServer, period: Sequence[date]) -> None:
        end = period[-1]
        for fault in self.faults:
            if period[0] <= fault.day <= end:
                self.timeline.add(fault.day, "fault", fault.name, FAULTS[fault.name])
        if (turn := self._turn()) is not None and period[0] <= turn <= end:
            self.timeline.add(turn, "fault", "turning", "the new series mislead from now on")
        self._stock(end)
        settings = self._settings(end)
        try:
            newest = refreshing.refresh(settings, end, sections.load(_Pipeline).data.as_of)
        except StageError as error:
            # Bars that the pipeline refuses: the server goes on with those it has.
            self.timeline.add(end, "failed", "refresh", str(error))
            return
        server.follows(git.commit(), newest or end)
        answered = 0
        for day in period:
            for symbol in self.symbols:
                for horizon in self.horizons:
                    answer = server.forecast(horizon, symbol, day)
                    answered += answer is not None and answer["as_of"] == str(day)
        counts = self._round(settings, end)
        self.timeline.tell(f"{end}  {answered:,} forecasts; {counts}", "dim")
        with server.asking(self.horizons[0], self.symbols[0], end):
            self._heal(settings, period)
            server.follows(git.commit(), end)
        for horizon in self.horizons:
            answer = server.forecast(horizon, self.symbols[0], end)
            version = answer["model"]["version"] if answer is not None else None
            if version is not None and version != self._served.get(horizon, version):
                self.timeline.add(end, "follows", horizon, f"the server answers with {version}")
            self._served[horizon] = version

    def _settings(self, day: date) -> Settings:
        return Settings(now=datetime.combine(day, AFTER_CLOSE, UTC))

    def _round(self, settings: Settings, end: date) -> str:
        # Nobody would read Evidently's report.
        steps: dict[str, Step] = {
            **measuring.STEPS,
            "drift": partial(measuring.drift, with_report=False),
        }
        if any(fault.name == "late-labels" and fault.day <= end for fault in self.faults):
            steps["labels"] = partial(late_labels, seed=self.plan.seed)
        done = checking_round.run(settings, self.thresholds, steps)
        with records.opened(settings, read_only=True) as engine, engine.connect() as connection:
            measured = metric_history.since(connection, settings.clock)
        self._notice(end, measured)
        return str(done)

    def _notice(self, end: date, measured: Sequence[tuple[Any, str, float | None, Any]]) -> None:
        values = {
            (name, tags.get("horizon", "")): value
            for _, name, value, tags in measured
            if set(tags) <= {"horizon", "model"}
        }
        shares = [
            value
            for (name, _), value in values.items()
            if name == "drift_share" and value is not None
        ]
        if shares:
            self.drift.append((end, max(shares)))
        for horizon in self.horizons:
            for name, kind in (("drift_alarm", "drift"), ("degraded", "degraded")):
                key = kind, horizon
                if not values.get((name, horizon)):
                    self._firing.discard(key)
                elif key not in self._firing:
                    self._firing.add(key)
                    self.timeline.add(end, kind, horizon, self._words(kind, horizon, values))

    def _words(
        self, kind: str, horizon: str, values: Mapping[tuple[str, str], float | None]
    ) -> str:
        if kind == "drift":
            share, count = (
                values.get((name, horizon)) for name in ("drift_share", "drift_features")
            )
            return f"{count or 0:.0f} features have drifted, {share or 0:.0%}"
        evidence = values.get(("degradation_evidence", horizon))
        return f"evidence {evidence or 0:.3g} that the live loss is beyond what was promised"

    def _heal(self, settings: Settings, period: Sequence[date]) -> None:
        end = period[-1]
        # People propose by day. In the evening the monitor first decides on the challengers that it
        # has, and only then trains another.
        for fault in self.faults:
            if fault.name.endswith("-challenger") and period[0] <= fault.day <= end:
                changes = self._changes(fault)
                proposal = Proposal("manual", changes=changes, force=True, by="simulation")
                self._decide(settings, proposal, fault.name)
        watch = rollback.check(settings, self.thresholds, end)
        if watch.decision is not None:
            self._tell(end, watch.decision, "the promoted model")
        for decision in waiting.judge(settings, self.thresholds):
            if decision.outcome != "shadow":
                self._tell(end, decision, "challenger in shadow")
        if any(kind == "drift" for kind, _ in self._firing):
            self._decide(settings, Proposal("drift"), "retraining after drift")

    def _decide(self, settings: Settings, proposal: Proposal, about: str) -> None:
        decision = retrain.run(settings, self.thresholds, proposal)
        self._tell(settings.clock.date(), decision, about)

    def _tell(self, day: date, decision: Decision, about: str) -> None:
        if decision.outcome == "refused":
            self.timeline.tell(f"{day}  {about}: refused, {decision.because}", "dim")
            return
        versions = [self._version(horizon) for horizon in self.horizons]
        standing = f"{', '.join(versions)} in production"
        self.timeline.add(day, decision.outcome, about, f"{decision.because} ({standing})")

    def _version(self, horizon: str) -> str:
        record = history.read().get(horizon, history.History())
        return f"{horizon} {record.current('production')}"

    def _changes(self, fault: Fault) -> dict[str, Any]:
        if fault.name == "bad-challenger":
            return {"dataset.scale": ["vol_252"]}
        params = sections.read()
        scale, ridge = params["dataset"]["scale"], params["models"].get("ridge")
        return {
            # One column needs a smaller penalty than forty.
            **({"models.ridge.alpha": 1.0} if ridge else {}),
            "dataset.features": [f"{faulty_bars.SENTIMENT}_level"],
            "dataset.scale": [*scale, f"{faulty_bars.IMPLIED}_level"],
        }

    def results(self, folder: Path) -> None:
        """Write the table of events and the pictures."""
        self.timeline.write(folder)
        with records.opened(self._settings(self.plan.last), read_only=True) as engine:
            forecasts = [
                live_forecasts.read(engine, Window(horizon, role=None)) for horizon in self.horizons
            ]
        drift = pl.DataFrame(self.drift, schema={"day": pl.Date, "share": pl.Float64}, orient="row")
        for horizon, rows in zip(self.horizons, forecasts, strict=True):
            rolling = simulation_plot.losses(rows)
            for suffix in ("svg", "png"):
                path = folder / f"{horizon}.{suffix}"
                simulation_plot.draw(path, rolling, drift, self.timeline.events)


def late_labels(
    engine: Engine, settings: Settings, _: MonitorParams, today: date, *, seed: int
) -> None:
    """Labels of two weeks ago, where a random choice of bars has both ends of the return."""
    bars = due_labels.read_bars()
    days = bars["date"].unique().sort()
    due = days[max(0, len(days) - 1 - LATE)]
    # The first draws stay the same while the bars of a symbol become more.
    parts = [
        own.filter(pl.Series(np.random.default_rng((seed, number)).random(own.height) < LABELLED))
        for number, own in enumerate(bars.partition_by("symbol", maintain_order=True))
    ]
    path = settings.folder / "simulation" / CLEAN_DAILY.name
    tables.write(pl.concat(parts), path)
    if due > today:
        raise MonitorError(f"{CLEAN_DAILY}: has bars after {today}")
    due_labels.store(engine, settings, due, path)
