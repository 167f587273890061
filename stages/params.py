"""Check the whole of `params.yaml`: `python -m stages.params`, the first stage of the pipeline.

Each room owns its section, typed, beside the code that it configures, and each stage loads the
sections that it needs. Here they come together: an unknown key anywhere, a wrong type or range, or
a combination that no stage could work with stops `dvc repro` before it does anything else. Writes
metrics/params.json: the features that the params make, and how many bars they need.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, create_model, model_validator

from stages import sources
from stages.bars.cleaning.clean_params import CleanParams
from stages.common import sections, tables
from stages.common.errors import few
from stages.common.mistakes import NestedError
from stages.common.options import Options, options_of
from stages.common.paths import CHECKED_PARAMS
from stages.common.running import log, run
from stages.common.sections import PARAMS_FILE, Checked, Horizons
from stages.common.text import nearest
from stages.forecast.dataset_params import SPREADS, DatasetParams, chosen, matches
from stages.forecast.trading.backtest_params import BacktestParams
from stages.forecast.training import models
from stages.forecast.training.train_params import Entry, EvaluateParams, Models, TrainParams
from stages.indicators import feature_table
from stages.indicators.definitions import definitions, lookback
from stages.indicators.feature_params import FeatureParams
from stages.monitor_params import MonitorParams
from stages.quality.validate_params import ValidateParams
from stages.sources import SourceParams


class Params(Options):
    """The whole of `params.yaml`."""

    data: SourceParams
    clean: CleanParams
    features: FeatureParams
    validate_: ValidateParams = Field(alias="validate")
    dataset: DatasetParams
    horizons: Horizons
    train: TrainParams
    models: Models
    evaluate: EvaluateParams
    backtest: BacktestParams
    monitor: MonitorParams
    search: Any = None
    """What `make search` may try, unchecked: only the search checks it, so that a removed model
    does not stop the pipeline."""

    @model_validator(mode="after")
    def _check_features(self) -> "Params":
        mistakes = self._unknown("dataset.features", self.dataset.features)
        if not mistakes and not self.selected_features:
            mistakes.append("dataset.features: selects no feature; name some, such as return_lag*")
        mistakes += self._scale_mistakes()
        mistakes += [] if mistakes else self._model_mistakes()
        if mistakes:
            raise NestedError(mistakes)
        return self

    def _unknown(self, key: str, patterns: Sequence[str]) -> list[str]:
        """One clause for each pattern of a key that matches no feature."""
        names = self.feature_names
        return [
            f"{key}: no section of features makes {wanted}{nearest(wanted, names)}; take it out of "
            f"{key}, or add its window"
            for wanted in patterns
            if not matches(wanted, names) and not self._is_left_out(wanted)
        ]

    def _scale_mistakes(self) -> list[str]:
        """What is wrong with `dataset.scale`: a pattern that matches nothing, or no volatility."""
        mistakes = self._unknown("dataset.scale", self.dataset.scale)
        strange = [
            name
            for name in chosen(self.dataset.scale, self.feature_names)
            if not any(matches(spread, [name]) for spread in SPREADS)
        ]
        if strange:
            mistakes.append(
                f"dataset.scale: {few(strange)} does not measure how far prices spread; name "
                f"features of {', '.join(SPREADS)}"
            )
        return mistakes

    def _model_mistakes(self) -> list[str]:
        """What is wrong with the columns that models name."""
        names, selected, mistakes = self.feature_names, self.selected_features, []
        for model, entry in self.models.items():
            key = f"models.{model}.features"
            if entry["features"] == []:
                mistakes.append(
                    f"{key}: selects nothing; name some, or take the key out to see all"
                )
            mistakes += [
                f"{key}: dataset.features selects no {wanted}{nearest(wanted, selected)}; name "
                f"what it selects, or add {wanted} to it"
                for wanted in entry["features"] or []
                if not matches(wanted, selected)
                and (matches(wanted, names) or not self._is_left_out(wanted))
            ]
        return mistakes

    def sessions(self, horizon: str) -> int:
        """The length of a horizon.

        Raises:
            ParamsError: `horizons` has no such entry.
        """
        return sections.sessions(self.horizons, horizon)

    def _is_left_out(self, wanted: str) -> bool:
        """Whether a pattern asks for a family that is off, which is not a mistake."""
        every: dict[str, Any] = {
            name: {"macd": [(1, 2, 1)], "calendar": ["month"]}.get(name, [2])
            for name, value in self.features
            if value == []
        }
        every["hourly_volatility"] = True
        families = self.features.model_copy(update=every)
        levels = self.data.levels or ["level"]
        prices = [name for name in self.data.market if name not in levels] or ["index"]
        could = definitions(families, [*prices, *levels], levels)
        return any(mark in wanted for mark in "*?[") and matches(wanted, list(could))

    @property
    def feature_names(self) -> list[str]:
        """Every column that the features stage writes, in order."""
        data = self.data
        return feature_table.columns(self.features, data.market, data.levels, data.symbol_levels)

    @property
    def selected_features(self) -> list[str]:
        """The columns that a model sees: `dataset.features` with its patterns resolved."""
        return chosen(self.dataset.features, self.feature_names)


def options_of_source(name: str) -> type[Options]:
    """What an entry of `data.sources` may say."""
    return options_of(sources.load(name))


def options_of_model(name: str, entry: Mapping[str, Any]) -> type[Options]:
    """What an entry of `models` may say.

    Args:
        name: its key.
        entry: as it is written; its `kind` counts, if it has one.
    """
    own = options_of(models.load(entry.get("kind", name)))
    return create_model(name, __base__=(Entry, own))


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and validate `params.yaml`.

    Raises:
        ParamsError: the file is missing or not YAML, or any key, type, range or combination
            is wrong; one line names every mistake by its dotted key.
    """
    return parse(sections.read(path))


def parse(content: object) -> Params:
    """Validate the content of a `params.yaml`.

    Raises:
        ParamsError: see `load`.
    """
    return sections.parse(Params, content)


def main() -> None:
    """Check every key, and write what later stages need to know of the features."""
    settings = load()
    names = settings.feature_names
    bars = lookback(settings.features, settings.data.market, settings.data.levels)
    with tables.replacing(CHECKED_PARAMS) as partial:
        content = Checked(lookback=bars, features=names).model_dump()
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    log.info(
        "params: %s features, %s of them for the models -> %s",
        len(names),
        len(settings.selected_features),
        CHECKED_PARAMS,
    )


if __name__ == "__main__":
    run(main)
