"""The section `validate:` of `params.yaml`."""

from typing import Annotated

from pydantic import Field, PositiveInt

from stages.common.options import Options


class ValidateParams(Options):
    """When bad data stops the pipeline."""

    min_quality: Annotated[float, Field(ge=0, le=100)]
    min_bars: PositiveInt
