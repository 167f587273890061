"""The section `clean:` of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from stages.common.options import Options


class CleanParams(Options):
    """What may be repaired, and what stops the stage."""

    max_gap: PositiveFloat
    fill_limit: Annotated[int, Field(ge=0)]
    zero_volume: Literal["keep", "reject"]
    adjustment: Literal["auto", "adj_close", "actions", "none"]
    max_rejected: Annotated[float, Field(ge=0, le=1)] = 0.05
