"""The sections `train:`, `models:` and `evaluate:` of `params.yaml`."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat

from stages.common.errors import ParamsError
from stages.common.mistakes import NestedError, each, options
from stages.common.options import Options, Share, Slug
from stages.common.text import unknown
from stages.forecast.training import models
from stages.forecast.training.models import Fitted

BASELINES = ("zero", "mean")
"""What every forecast must beat; they are never candidates (`baselines.py`)."""

TAKEN = (
    *("stack", "mean_constant", "mean_ewma", "feature", "prediction"),
    *("symbol", "date", "target_date", "fold", "target"),
)
"""What tables with a column or a row for each model hold beside the models."""


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


def _models(sections: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    if not sections:
        raise ValueError("name at least one model, for example `ridge: {}`")
    taken = [f"{name}: the name is taken; choose another" for name in TAKEN if name in sections]
    taken += [
        f"{name}: is a baseline, which evaluate computes in every run; take it out of models"
        for name in BASELINES
        if name in sections
    ]
    if taken:
        raise NestedError(taken)
    return each(sections, _options)


def _options(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a candidate, with its `kind` among them."""
    kind = section.get("kind", name)
    if kind not in models.names():
        remedy = "" if "kind" in section else "; name one of them as its kind"
        raise ValueError(unknown("kind of model", kind, models.names()) + remedy)
    chosen = {key: value for key, value in section.items() if key != "kind"}
    return {"kind": kind, **options(models.load(kind), chosen)}


Models = Annotated[dict[Slug, dict[str, Any]], AfterValidator(_models)]
"""The candidates by name (`models:`), each with its `kind` and the options of that kind."""


def model(candidates: Models, name: str) -> tuple[Callable[..., Fitted], dict[str, Any]]:
    """The function that fits a candidate, and the keyword arguments to call it with.

    Raises:
        ParamsError: `models` has no such entry.
    """
    if name not in candidates:
        raise ParamsError([f"models: {unknown('model', name, list(candidates))}"])
    chosen = dict(candidates[name])
    return models.load(chosen.pop("kind")), chosen
