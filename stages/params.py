"""`params.yaml` as typed, validated objects: read once, right or wrong in one clear line.

Every stage calls `load()` and uses its own section. Numbers such as `1e-06`, which PyYAML
reads as text, become numbers here.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from stages import indicators, models, sources
from stages.errors import ParamsError, few
from stages.options import Options, validated

PARAMS_FILE = Path("params.yaml")

_T = TypeVar("_T")


def _distinct(values: list[_T]) -> list[_T]:
    if len({str(value) for value in values}) < len(values):
        raise ValueError(f"each entry may stand once, got {values}")
    return values


def _windows(values: list[int]) -> list[int]:
    if any(value < 1 for value in values):
        raise ValueError(f"windows must be positive integers, got {values}")
    return _distinct(values)


def _spreads(values: list[int]) -> list[int]:
    if any(value < 2 for value in values):  # noqa: PLR2004  # one value has no spread
        raise ValueError(f"windows of a spread must be at least 2, got {values}")
    return _distinct(values)


def _macd(values: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    for fast, slow, signal in values:
        if not 1 <= fast < slow or signal < 1:
            raise ValueError(
                f"each entry is [fast, slow, signal] with fast below slow, got {[list(v) for v in values]}"
            )
    return _distinct(values)


Windows = Annotated[list[int], AfterValidator(_windows)]
Spreads = Annotated[list[int], AfterValidator(_spreads)]
Macd = Annotated[list[tuple[int, int, int]], AfterValidator(_macd)]
Names = Annotated[list[str], AfterValidator(_distinct)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(gt=0, lt=1)]


class DataParams(Options):
    """Where bars come from, which, and up to when (`data:`)."""

    source: str
    path: Path
    as_of: date
    calendar: str
    extra_sessions: Annotated[list[date], AfterValidator(_distinct)]
    symbols: Names
    market: Names
    sources: dict[str, dict[str, Any]]

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, sections: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {
            name: _section(name, section, sources.load, sources.names())
            for name, section in sections.items()
        }

    @model_validator(mode="after")
    def _check_source(self) -> "DataParams":
        if self.source not in sources.names():
            raise ValueError(_unknown("source", self.source, sources.names()))
        both = sorted(set(self.symbols) & set(self.market))
        if both:
            raise ValueError(f"{few(both)} cannot be both in symbols and in market")
        return self

    @property
    def source_options(self) -> dict[str, Any]:
        """The keyword arguments of the chosen source's `fetch`."""
        section = self.sources.get(self.source, {})
        return _section(self.source, section, sources.load, sources.names())


class CleanParams(Options):
    """What may be repaired, and what stops the stage (`clean:`)."""

    max_gap: PositiveFloat
    fill_limit: Annotated[int, Field(ge=0)]
    zero_volume: Literal["keep", "reject"]
    adjustment: Literal["auto", "adj_close", "actions", "none"]


class FeatureParams(Options):
    """The windows of every feature family (`features:`); an empty list leaves a family out."""

    lags: Windows
    sma: Windows
    ema: Windows
    momentum: Windows
    volatility: Spreads
    relative_volume: Windows
    rsi: Windows
    macd: Macd
    bollinger: Spreads
    bollinger_width: PositiveFloat
    atr: Windows
    market_lags: Windows
    market_same_session: bool
    calendar: Annotated[
        list[Literal["day_of_week", "day_of_month", "month", "week_of_year", "quarter"]],
        AfterValidator(_distinct),
    ]
    hourly_volatility: bool


class ValidateParams(Options):
    """When bad data stops the pipeline (`validate:`)."""

    min_quality: Annotated[float, Field(ge=0, le=100)]
    min_bars: PositiveInt


class DatasetParams(Options):
    """What a model sees, and which part of time is held out (`dataset:`)."""

    test_share: Share
    features: Names
    scale: str


class TrainParams(Options):
    """How candidates are trained and validated (`train:`)."""

    scope: Literal["pooled", "per_symbol"]
    folds: Annotated[int, Field(ge=2)]
    first_fold: Share
    embargo: Annotated[int, Field(ge=0)]
    seed: int


class EvaluateParams(Options):
    """How forecasts are combined and how sure they claim to be (`evaluate:`)."""

    level: Share
    shrinkage: Annotated[float, Field(ge=0, le=1)]


class Params(Options):
    """The whole of `params.yaml`."""

    data: DataParams
    clean: CleanParams
    features: FeatureParams
    validate_: ValidateParams = Field(alias="validate")
    dataset: DatasetParams
    horizons: dict[Slug, PositiveInt]
    train: TrainParams
    models: dict[Slug, dict[str, Any]]
    evaluate: EvaluateParams

    @field_validator("horizons")
    @classmethod
    def _check_horizons(cls, horizons: dict[str, int]) -> dict[str, int]:
        if not horizons:
            raise ValueError("name at least one horizon, for example `short: 1`")
        if "candidates" in horizons:
            raise ValueError("a horizon cannot be called candidates: models/candidates is taken")
        return horizons

    @field_validator("models")
    @classmethod
    def _check_models(cls, sections: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        missing = [name for name in models.BASELINES if name not in sections]
        if missing:
            raise ValueError(f"the baselines are part of every table; add {few(missing)}")
        if len(sections) == len(models.BASELINES):
            raise ValueError("name at least one model besides the baselines")
        return {
            name: _section(name, section, models.load, models.names())
            for name, section in sections.items()
        }

    @model_validator(mode="after")
    def _check_features(self) -> "Params":
        made = self.feature_names
        for wanted in self.dataset.features:
            if not any(fnmatchcase(name, wanted) for name in made):
                raise ValueError(
                    f"dataset.features: no section of features makes {wanted}; "
                    f"{_nearest(wanted, made)}take it out of dataset.features, or add its window"
                )
        if self.dataset.scale not in made:
            raise ValueError(
                f"dataset.scale: no section of features makes {self.dataset.scale}; "
                f"{_nearest(self.dataset.scale, made)}name a volatility, such as vol_14"
            )
        return self

    @property
    def feature_names(self) -> list[str]:
        """Every column that the features stage makes, in order."""
        return list(indicators.definitions(self.features, self.data.market))

    @property
    def selected_features(self) -> list[str]:
        """The columns that a model sees: `dataset.features` with its patterns resolved."""
        return [
            name
            for name in self.feature_names
            if any(fnmatchcase(name, wanted) for wanted in self.dataset.features)
        ]


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and validate `params.yaml`.

    Raises:
        ParamsError: the file is missing, is no YAML, or any key, type, range or combination
            is wrong; one line names every mistake by its dotted key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError([f"{path}: no such file; run this in the root of the project"]) from None
    except yaml.YAMLError as error:
        raise ParamsError([f"{path}: is no valid YAML ({error})"]) from None
    return parse(content)


def parse(content: object) -> Params:
    """Validate the content of a `params.yaml`.

    Raises:
        ParamsError: see `load`.
    """
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ParamsError([_line(detail) for detail in error.errors()]) from None


def _section(
    name: str,
    section: Mapping[str, Any],
    load_function: Callable[[str], Callable[..., Any]],
    known: Sequence[str],
) -> dict[str, Any]:
    if name not in known:
        raise ValueError(_unknown("entry", name, known))
    try:
        return validated(load_function(name), section)
    except ValidationError as error:
        raise ValueError(
            "; ".join(f"{name}.{_line(detail, load_function(name))}" for detail in error.errors())
        ) from None


def _line(detail: ErrorDetails, function: Callable[..., Any] | None = None) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    given = detail.get("input")
    match detail["type"]:
        case "value_error":
            text = str(detail["ctx"]["error"])
            return f"{where}: {text}" if where and not text.startswith(where) else text
        case "extra_forbidden":
            return f"{where}: unknown key; {_nearest(where, _keys(where, function))}".rstrip("; ")
        case "missing":
            return f"{where}: is missing"
        case kind if kind.startswith("int"):
            return f"{where}: must be an integer, got {given!r}"
        case kind if kind.startswith("float"):
            return f"{where}: must be a number, got {given!r}"
        case _:
            message = detail["msg"].removeprefix("Input should be ").removeprefix("Input ")
            return f"{where}: should be {message}, got {given!r}"


def _keys(where: str, function: Callable[..., Any] | None) -> list[str]:
    if function is not None:
        return list(validated_names(function))
    model: Any = Params
    *parents, _ = where.split(".")
    for parent in parents:
        model = next(
            (
                info.annotation
                for name, info in model.model_fields.items()
                if parent in (name, info.alias)
            ),
            None,
        )
        if not (isinstance(model, type) and issubclass(model, Options)):
            return []
    prefix = "".join(f"{parent}." for parent in parents)
    return [prefix + (info.alias or name) for name, info in model.model_fields.items()]


def validated_names(function: Callable[..., Any]) -> list[str]:
    """The keys that a function's section may have."""
    from stages.options import options_of

    return list(options_of(function).model_fields)


def _nearest(wanted: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(wanted, known, n=1)
    return f"did you mean {close[0]}? " if close else ""


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    return f"unknown {what} {name!r}; {_nearest(name, known)}there are {few(known, 20)}"
