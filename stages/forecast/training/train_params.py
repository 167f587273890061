"""The sections `train:`, `models:` and `evaluate:` of `params.yaml`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, ValidationError

from stages.common.errors import DataError, ParamsError, few
from stages.common.mistakes import NestedError, each, listed, options
from stages.common.options import Names, Options, Share, Slug, options_of
from stages.common.text import unknown
from stages.forecast import dataset_params
from stages.forecast.contract import Matrix, Vector
from stages.forecast.training import models
from stages.forecast.training.fitted import Fit, Fitted, of_columns

BASELINES = ("zero", "mean")
"""What every forecast must beat; they are never candidates (`baselines.py`)."""

RESERVED = (
    *("stack", "mean_constant", "mean_ewma", "feature", "prediction"),
    *("symbol", "date", "target_date", "fold", "target"),
)
"""Other columns and rows of the tables that have one for each model."""


class TrainParams(Options):
    """How candidates are trained and validated (`train:`)."""

    scope: Literal["pooled", "per_symbol"]
    folds: Annotated[int, Field(ge=2)]
    first_fold: Share
    embargo: Annotated[int, Field(ge=0)]
    seed: int
    refit: bool


class EvaluateParams(Options):
    """How forecasts are combined and how sure they claim to be (`evaluate:`)."""

    level: Share
    shrinkage: Annotated[float, Field(ge=0, le=1)]
    scale_shrinkage: NonNegativeFloat
    significance: Annotated[float, Field(gt=0, le=1)]


class Entry(Options):
    """What an entry of `models:` may say beside the options of its kind."""

    kind: str
    features: Names | None = None
    """Names or patterns, as in `dataset.features`, of the columns that it sees; null for all."""


def _models(sections: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    if not sections:
        raise ValueError("name at least one model, for example `ridge: {}`")
    clashes = [f"{key}: the name is taken; choose another" for key in RESERVED if key in sections]
    clashes += [
        f"{name}: is a baseline, which evaluate computes in every run; take it out of models"
        for name in BASELINES
        if name in sections
    ]
    if clashes:
        raise NestedError(clashes)
    return each(sections, _options)


def _options(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a candidate, with those of every entry among them."""
    own = {key: value for key, value in section.items() if key in Entry.model_fields}
    try:
        entry = Entry.model_validate({"kind": name, **own})
    except ValidationError as error:
        raise NestedError(listed(error, Entry)) from None
    if entry.kind not in models.names():
        remedy = "" if "kind" in section else "; name one of them as its kind"
        raise ValueError(unknown("kind of model", entry.kind, models.names()) + remedy)
    chosen = {key: value for key, value in section.items() if key not in own}
    return {**options(models.load(entry.kind), chosen), **entry.model_dump()}


Models = Annotated[dict[Slug, dict[str, Any]], AfterValidator(_models)]
"""The candidates by name (`models:`), each with what `Entry` has and the options of its kind."""


def model(candidates: Models, name: str) -> tuple[Callable[..., Fitted], dict[str, Any]]:
    """The function that fits a candidate, and the keyword arguments to call it with.

    Raises:
        ParamsError: `models` has no such entry.
    """
    if name not in candidates:
        raise ParamsError([f"models: {unknown('model', name, list(candidates))}"])
    function = models.load(candidates[name]["kind"])
    fields = options_of(function).model_fields
    return function, {key: value for key, value in candidates[name].items() if key in fields}


def fit_of(
    candidates: Models, name: str, features: Sequence[str], known: Sequence[str], seed: int
) -> Fit:
    """How a candidate is fitted to a dataset, of which it may see some columns.

    Args:
        candidates: the section.
        name: of the candidate.
        features: those columns of the dataset that models may see.
        known: every column of the dataset that is a feature, in order.
        seed: of everything random.

    Raises:
        ParamsError: `models` has no such entry.
        DataError: its `features` select none.
    """
    function, options = model(candidates, name)
    wanted = candidates[name]["features"]
    own_features = list(features) if wanted is None else dataset_params.chosen(wanted, features)
    if not own_features:
        raise DataError(
            f"models.{name}.features: selects none of the {len(features)} features of the "
            f"dataset, {few(list(features))}; name some, or take the key out to see all"
        )
    # A kind that needs the names takes them instead of the patterns.
    if "features" in options:
        options["features"] = own_features

    def fit(x: Matrix, y: Vector) -> Fitted:
        return function(x, y, seed, **options)

    if len(own_features) == len(known):
        return fit
    return of_columns(fit, [known.index(each) for each in own_features])
