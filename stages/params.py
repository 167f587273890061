"""`params.yaml` as typed, validated objects: read once, right or wrong in one clear line.

Every stage calls `load()` and uses its own section. Numbers such as `1e-06`, which PyYAML
reads as text, become numbers here.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stages import sources
from stages.common.errors import ParamsError, few
from stages.common.options import Options, options_of, validated
from stages.forecast import models
from stages.forecast.models import Fitted
from stages.indicators import definitions

PARAMS_FILE = Path("params.yaml")

_T = TypeVar("_T")

_TAKEN = ("candidates", "clean", "validation", "validation_datasets")
"""What `models/` and `metrics/` hold beside the horizons."""

_TAKEN_COLUMNS = (
    *("stack", "feature", "prediction"),
    *("symbol", "date", "target_date", "fold", "scale", "target"),
)
"""What tables with a column or a row for each model hold beside the models."""


class _NestedError(ValueError):
    """Mistakes below the key that pydantic knows, each opening with the rest of its dotted key."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


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
            given = [list(value) for value in values]
            raise ValueError(
                f"each entry is [fast, slow, signal] with fast below slow, got {given}"
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
        return _each(sections, _source_options)

    @model_validator(mode="after")
    def _check_source(self) -> "DataParams":
        if self.source not in sources.names():
            raise _NestedError([f"source: {_unknown('source', self.source, sources.names())}"])
        if self.source not in self.sources:
            try:
                self.sources.update(_each({self.source: {}}, _source_options))
            except _NestedError as error:
                raise _NestedError(_below("sources", error)) from None
        both = sorted(set(self.symbols) & set(self.market))
        if both:
            raise _NestedError([f"market: {few(both)} cannot be in symbols as well"])
        return self

    @property
    def source_options(self) -> dict[str, Any]:
        """The keyword arguments of the chosen source's `fetch`."""
        return self.sources[self.source]


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
    search: Any = None
    """What `make search` may try, as it is written. Only the search checks it, so that a model that
    leaves the file does not stop a stage."""

    @field_validator("horizons")
    @classmethod
    def _check_horizons(cls, horizons: dict[str, int]) -> dict[str, int]:
        if not horizons:
            raise ValueError("name at least one horizon, for example `short: 1`")
        taken = [
            f"{name}: the name is taken; choose another" for name in _TAKEN if name in horizons
        ]
        if taken:
            raise _NestedError(taken)
        return horizons

    @field_validator("models")
    @classmethod
    def _check_models(cls, sections: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        missing = [name for name in models.BASELINES if name not in sections]
        if missing:
            raise ValueError(f"the baselines are part of every table; add {few(missing)}")
        if len(sections) == len(models.BASELINES):
            raise ValueError("name at least one model besides the baselines")
        taken = [
            f"{name}: the name is taken; choose another"
            for name in _TAKEN_COLUMNS
            if name in sections
        ]
        if taken:
            raise _NestedError(taken)
        return _each(sections, _model_options)

    @model_validator(mode="after")
    def _check_features(self) -> "Params":
        made = self.feature_names
        mistakes = [
            f"dataset.features: no section of features makes {wanted}{_nearest(wanted, made)}; "
            "take it out of dataset.features, or add its window"
            for wanted in self.dataset.features
            if not _matches(wanted, made) and not self._is_left_out(wanted)
        ]
        if not mistakes and not self.selected_features:
            mistakes.append("dataset.features: selects no feature; name some, such as return_lag*")
        scale = self.dataset.scale
        if scale not in made:
            mistakes.append(
                f"dataset.scale: no section of features makes {scale}{_nearest(scale, made)}; "
                "name a volatility, such as vol_14"
            )
        if mistakes:
            raise _NestedError(mistakes)
        return self

    def sessions(self, horizon: str) -> int:
        """The length of a horizon.

        Raises:
            ParamsError: `horizons` has no such entry.
        """
        if horizon not in self.horizons:
            near = _nearest(horizon, list(self.horizons))
            raise ParamsError(
                [f"horizons: no {horizon!r}{near}; there is {few(self.horizons, 20)}"]
            )
        return self.horizons[horizon]

    def _is_left_out(self, wanted: str) -> bool:
        """Whether a pattern asks for a family whose list is empty, which is no mistake."""
        every = {
            name: {"macd": [(1, 2, 1)], "calendar": ["month"]}.get(name, [2])
            for name, value in self.features
            if value == []
        }
        families = self.features.model_copy(update=every)
        could = definitions.definitions(families, self.data.market or ["index"])
        return any(mark in wanted for mark in "*?[") and _matches(wanted, list(could))

    def model(self, name: str) -> tuple[Callable[..., Fitted], dict[str, Any]]:
        """The function that fits a candidate, and the keyword arguments to call it with.

        Raises:
            ParamsError: `models` has no such entry.
        """
        if name not in self.models:
            raise ParamsError([f"models: {_unknown('model', name, list(self.models))}"])
        options = dict(self.models[name])
        return models.load(options.pop("kind")), options

    @property
    def feature_names(self) -> list[str]:
        """Every column that the features stage makes, in order."""
        return list(definitions.definitions(self.features, self.data.market))

    @property
    def selected_features(self) -> list[str]:
        """The columns that a model sees: `dataset.features` with its patterns resolved."""
        return [
            name
            for name in self.feature_names
            if any(fnmatchcase(name, wanted) for wanted in self.dataset.features)
        ]


def _matches(wanted: str, names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, wanted) for name in names)


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and validate `params.yaml`.

    Raises:
        ParamsError: the file is missing, is no YAML, or any key, type, range or combination
            is wrong; one line names every mistake by its dotted key.
    """
    return parse(read(path))


def read(path: Path = PARAMS_FILE) -> Any:
    """Read `params.yaml` without looking at its keys.

    Raises:
        ParamsError: the file is missing or no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError([f"{path}: no such file; run this in the root of the project"]) from None
    except UnicodeDecodeError:
        raise ParamsError([f"{path}: is no valid YAML (not UTF-8 text)"]) from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        reason = ": ".join(filter(None, (error.context, error.problem)))
        raise ParamsError([f"{path}{line}: is no valid YAML ({reason})"]) from None
    except yaml.YAMLError as error:
        raise ParamsError([f"{path}: is no valid YAML ({error})"]) from None


def parse(content: object) -> Params:
    """Validate the content of a `params.yaml`.

    Raises:
        ParamsError: see `load`.
    """
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ParamsError(_mistakes(error, Params)) from None


def _source_options(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    if name not in sources.names():
        raise ValueError(_unknown("source", name, sources.names()))
    return _options(sources.load(name), section)


def _model_options(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a candidate, with its `kind` among them."""
    kind = section.get("kind", name)
    if kind not in models.names():
        remedy = "" if "kind" in section else "; name one of them as its kind"
        raise ValueError(_unknown("kind of model", kind, models.names()) + remedy)
    if name in models.BASELINES and kind != name:
        raise _NestedError([f"kind: {name} is a baseline and stays one; name the model otherwise"])
    options = {key: value for key, value in section.items() if key != "kind"}
    return {"kind": kind, **_options(models.load(kind), options)}


def _options(function: Callable[..., Any], section: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return validated(function, section)
    except ValidationError as error:
        raise _NestedError(_mistakes(error, options_of(function))) from None


def _each(
    sections: Mapping[str, dict[str, Any]],
    check: Callable[[str, Mapping[str, Any]], _T],
) -> dict[str, _T]:
    """Check every entry under its name, and raise the mistakes of all of them at once."""
    checked, mistakes = {}, []
    for name, section in sections.items():
        try:
            checked[name] = check(name, section)
        except ValueError as error:
            mistakes += _below(name, error)
    if mistakes:
        raise _NestedError(mistakes)
    return checked


def _below(key: str, error: ValueError) -> list[str]:
    """What an error says of a key, each mistake with its dotted key in front."""
    if not isinstance(error, _NestedError):
        return [f"{key}: {error}"]
    # What is wrong with a section as a whole opens with the colon.
    joint = "" if not key else "."
    return [
        f"{key}{'' if mistake.startswith(':') else joint}{mistake}" for mistake in error.mistakes
    ]


def _mistakes(error: ValidationError, root: type[BaseModel]) -> list[str]:
    return [line for detail in error.errors() for line in _lines(detail, root)]


def _lines(detail: ErrorDetails, root: type[BaseModel]) -> list[str]:
    kind, given = detail["type"], detail.get("input")
    path = [str(part) for part in detail["loc"]]
    where = ".".join(path)
    if kind == "value_error":
        return _below(where, detail["ctx"]["error"])
    if kind == "extra_forbidden":
        return [f"{where}: unknown key{_nearest_key(path, root)}"]
    if kind == "missing":
        return [f"{where}: is missing"]
    if kind == "too_long":
        return [f"{where}: must have {detail['ctx']['max_length']} entries, got {given!r}"]
    if kind == "string_pattern_mismatch":
        name = where.removesuffix(".[key]")
        return [f"{name}: a name is made of a-z, 0-9 and _, and begins with a letter"]
    return [f"{where or PARAMS_FILE}: must be {_expected(detail)}, got {given!r}"]


def _expected(detail: ErrorDetails) -> str:
    """What the value should have been, in the words of a reader of YAML."""
    words = {
        "int": "an integer",
        "float": "a number",
        "date": "a date such as 2012-12-31",
        "bool": "true or false",
        "list": "a list",
        "tuple": "a list",
        "dict": "a mapping of keys to values",
        "model": "a mapping of keys to values",
        "string": "text",
        "path": "a path",
    }
    family = detail["type"].split("_")[0]
    return words.get(family) or detail["msg"].removeprefix("Input should be ")


def _nearest_key(path: Sequence[str], root: type[BaseModel]) -> str:
    """A hint at the key that was meant, looked up in the section that the path leads to."""
    section = root
    for parent in path[:-1]:
        by_key = dict(_keys(section))
        annotation = by_key[parent].annotation if parent in by_key else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        section = annotation
    known = [key for key, _ in _keys(section)]
    return _nearest(path[-1], known) or f"; there are {few(known, 20) or 'none'}"


def _keys(section: type[BaseModel]) -> Iterable[tuple[str, FieldInfo]]:
    return ((info.alias or name, info) for name, info in section.model_fields.items())


def _nearest(wanted: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(wanted, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _unknown(what: str, name: object, known: Sequence[str]) -> str:
    return f"unknown {what} {name!r}{_nearest(str(name), known)}; there are {few(known, 20)}"
