"""Intervals whose coverage the monitor has corrected, beside the model's own or in their place.

The monitor follows how many outcomes an interval has held, and writes by which factor its distances
from the forecast should be longer or shorter. The prediction log always has the model's own.
"""

import logging
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter, ValidationError

from serve.checkout.bundle_files import mistake, reason
from serve.file_state import stamp

log = logging.getLogger("serve")

FILE = Path("monitor/intervals.json")
"""Below the server's own folder."""

Factor = Annotated[FiniteFloat, Field(ge=0)]


class Correction(BaseModel):
    """How the intervals of a model are corrected.

    Attributes:
        model_md5: of the model; intervals of any other stay as they are.
        factor_lower, factor_upper: of the distances from the forecast to the bounds.
        updated_to: the newest session whose outcome is in it.
    """

    model_md5: str
    factor_lower: Factor
    factor_upper: Factor
    updated_to: date


_corrections = TypeAdapter(dict[str, Correction])


class AdaptiveIntervals:
    """Corrects the intervals of answers.

    Args:
        folder: the server's own.
        mode: `show`: beside the model's own; `serve`: in their place.

    Attributes:
        problem: why the file is not used; None if it is, or there is none.
    """

    def __init__(self, folder: Path, mode: Literal["show", "serve"]) -> None:
        self._path = folder / FILE
        self._serve = mode == "serve"
        self._corrections: dict[str, Correction] = {}
        self._stamp: object = ()
        self.problem: str | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the file again if it has changed; without a readable file nothing is corrected."""
        state = stamp(self._path)
        if state == self._stamp:
            return
        self._stamp, self._corrections, problem = state, {}, None
        try:
            self._corrections = _corrections.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            pass
        except OSError as error:
            problem = f"{FILE}: {reason(error)}"
        except ValidationError as error:
            problem = f"{FILE}: {mistake(error)}"
        if problem is not None and problem != self.problem:
            log.warning("intervals are not corrected: %s", problem)
        self.problem = problem

    def correct(self, answer: dict[str, Any]) -> None:
        """Correct the interval of an answer, if there is a correction of its model."""
        correction = self._corrections.get(answer["horizon"])
        if correction is None or correction.model_md5 != answer["model"]["md5"]:
            return
        own, centre, close = answer["interval"], answer["predicted_return"], answer["last_close"]
        # Nothing loses more than all of its value.
        lower = max(-1.0, centre + correction.factor_lower * (own["lower_return"] - centre))
        upper = centre + correction.factor_upper * (own["upper_return"] - centre)
        bounds = {
            "lower_return": lower,
            "upper_return": upper,
            "lower_close": None if close is None else close * (1 + lower),
            "upper_close": None if close is None else close * (1 + upper),
        }
        updated_to = correction.updated_to
        if self._serve:
            former = {name: own[name] for name in bounds}
            own.update(bounds, own={**former, "updated_to": updated_to})
        else:
            own["adapted"] = {**bounds, "updated_to": updated_to}
