"""Read the sections of `params.yaml` that a stage obeys.

A stage declares them as a class, loads them, and knows nothing of the others:

    class Settings(Sections):
        data: DataParams
        clean: CleanParams

    settings = load(Settings)

`python -m stages.params` checks the whole file. Numbers such as `1e-06`, which PyYAML reads as
text, become numbers here.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, ConfigDict, Field, PositiveInt, ValidationError

from stages.common import mistakes
from stages.common.errors import InputError, ParamsError, few
from stages.common.mistakes import NestedError
from stages.common.options import Names, Options, Slug, distinct
from stages.common.paths import CHECKED_PARAMS
from stages.common.running import run
from stages.common.text import nearest

PARAMS_FILE = Path("params.yaml")

SECTIONS = (
    *("data", "clean", "features", "validate", "dataset", "horizons"),
    *("train", "models", "evaluate", "backtest", "monitor", "search"),
)
"""The keys that the file may have."""


class Sections(Options):
    """Base of what a stage loads; the sections that it does not name are ignored."""

    model_config = ConfigDict(extra="ignore")


def of_symbol(level: str, symbol: str) -> str:
    """The market series with the numbers of one symbol; `level` is one of `data.symbol_levels`."""
    return f"{level} of {symbol}"


class DataParams(Sections):
    """The part of `data:` that most stages read: up to when, which sessions, which market."""

    as_of: date
    calendar: str
    extra_sessions: Annotated[list[date], AfterValidator(distinct)]
    market: Names
    levels: Names = Field(default=[])
    """Those of `market` whose values are numbers, not prices."""
    symbol_levels: Names = Field(default=[])
    """Series that have a number for each symbol."""

    def is_level(self, series: str) -> bool:
        """Whether a market series holds numbers, not prices."""
        return series in self.levels or self.is_of_symbol(series)

    def is_of_symbol(self, series: str) -> bool:
        """Whether a market series holds the numbers of one symbol."""
        return series.startswith(tuple(of_symbol(level, "") for level in self.symbol_levels))


RESERVED = ("candidates", "refitted", "clean", "params", "validation", "validation_datasets")
"""Names in `models/` and `metrics/` that no horizon may have."""


def _free(horizons: dict[str, int]) -> dict[str, int]:
    if not horizons:
        raise ValueError("name at least one horizon, for example `short: 1`")
    clashes = [f"{key}: the name is taken; choose another" for key in RESERVED if key in horizons]
    if clashes:
        raise NestedError(clashes)
    return horizons


Horizons = Annotated[dict[Slug, PositiveInt], AfterValidator(_free)]
"""The length of each horizon, in sessions (`horizons:`)."""


def sessions(horizons: Mapping[str, int], name: str) -> int:
    """The length of a horizon.

    Raises:
        ParamsError: `horizons` has no such entry.
    """
    if name not in horizons:
        near = nearest(name, horizons)
        raise ParamsError([f"horizons: no {name!r}{near}; there is {few(horizons, 20)}"])
    return horizons[name]


class Checked(Options):
    """What the first stage worked out from the whole of `params.yaml`: metrics/params.json.

    A stage that reads the names of the features there depends neither on the code that computes
    them nor on every window of `features:`, and runs after the whole file is checked.

    Attributes:
        lookback: how many bars the newest row of features needs, itself included.
        features: every column that the features stage makes, in order.
    """

    lookback: PositiveInt
    features: Names


_S = TypeVar("_S", bound=Options)


def load(sections: type[_S], path: Path = PARAMS_FILE) -> _S:
    """Read and validate sections of `params.yaml`.

    Raises:
        ParamsError: the file is missing or not YAML, or a key, type, range or combination of
            these sections is wrong; one line names every mistake by its dotted key.
    """
    return parse(sections, read(path))


def parse(sections: type[_S], content: object) -> _S:
    """Validate sections of the content of a `params.yaml`.

    Raises:
        ParamsError: see `load`.
    """
    if isinstance(content, Mapping):
        strange = [str(key) for key in content if key not in SECTIONS]
        if strange:
            raise ParamsError([f"{key}: unknown key{nearest(key, SECTIONS)}" for key in strange])
    try:
        return sections.model_validate(content)
    except ValidationError as error:
        raise ParamsError(mistakes.listed(error, sections)) from None


def read(path: Path = PARAMS_FILE) -> Any:
    """Read `params.yaml` without looking at its keys.

    Raises:
        ParamsError: the file is missing or not YAML, or a date stands in it without quotes.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except FileNotFoundError:
        raise ParamsError([f"{path}: no such file; run this in the root of the project"]) from None
    except UnicodeDecodeError:
        raise ParamsError([f"{path}: is not valid YAML (not UTF-8 text)"]) from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        reason = ": ".join(filter(None, (error.context, error.problem)))
        raise ParamsError([f"{path}{line}: is not valid YAML ({reason})"]) from None
    except yaml.YAMLError as error:
        raise ParamsError([f"{path}: is not valid YAML ({error})"]) from None
    bare = dict(_bare_dates(content))
    if bare:
        raise ParamsError(
            [
                f"{key}: {day} stands without quotes, which DVC cannot read; write '{day}'"
                for key, day in bare.items()
            ]
        )
    return content


def _bare_dates(content: object, key: str = "") -> Iterator[tuple[str, date]]:
    if isinstance(content, date):
        yield key or str(PARAMS_FILE), content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from _bare_dates(name, f"{key} (key)")
            yield from _bare_dates(value, f"{key}.{name}".lstrip("."))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _bare_dates(value, f"{key}.{number}")


def checked(path: Path = CHECKED_PARAMS) -> Checked:
    """Read what the first stage worked out.

    Raises:
        InputError: the file is missing, or it is not what that stage writes.
    """
    try:
        return Checked.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        raise InputError(f"{path}: missing or incomplete; run `dvc repro params`") from None


def main() -> None:
    """Check that `params.yaml` is YAML that DVC can read too, before DVC does."""
    read()


if __name__ == "__main__":
    run(main)
