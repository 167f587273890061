"""What a simulation does: which span, in which steps, with which faults, when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt

from monitor.settings import MonitorError
from stages.common.options import Options

FAULTS = {
    "drift": "the volume grows by 15 % a session for two periods, as in a mania",
    "broken-feed": "the feed of a symbol repeats its last bar for one period",
    "late-labels": "labels come for 40 % of the forecasts, and two weeks late",
    "restated": "the source gives other closes for the past of a symbol",
    "bad-challenger": "somebody proposes intervals that follow the last year alone",
    "turning-challenger": "somebody proposes two new series, which mislead once they are used",
}
"""Each by its name, with what it does."""


@dataclass(frozen=True)
class Fault:
    """A fault, and the first session that has it."""

    name: str
    day: date


def _known(texts: Sequence[str]) -> Sequence[str]:
    for text in texts:
        name, _, day = text.partition("@")
        if name not in FAULTS:
            raise ValueError(f"no fault {name!r}; there is {', '.join(FAULTS)}")
        try:
            date.fromisoformat(day or "2000-01-01")
        except ValueError:
            raise ValueError(f"{text}: write a day such as {name}@2011-06-01") from None
    return texts


class Plan(Options):
    """A simulation, as the command line gives it.

    Attributes:
        first, last: days; forecasts are made from the bars of the sessions between them.
        step: sessions of a period: bars come in, and everything is checked, once a period.
        faults: names, each perhaps with the day on which it begins (`drift@2011-03-15`); those
            without are spread over the span in their order.
        small: one horizon, only ridge, two folds, and bars from 2005 on.
        seed: of what is drawn at random.
        name: of the folder of the results.
    """

    first: date
    last: date
    step: PositiveInt = 21
    faults: Annotated[tuple[str, ...], AfterValidator(_known)] = ()
    small: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    name: str = "simulation"

    def periods(self, sessions: Sequence[date]) -> list[list[date]]:
        """The sessions of the span, by period.

        Args:
            sessions: of the bars, in order.

        Raises:
            MonitorError: the bars do not reach over the span.
        """
        if not sessions or sessions[-1] < self.last or sessions[0] >= self.first:
            reach = f"from {sessions[0]} to {sessions[-1]}" if sessions else "on no day"
            raise MonitorError(
                f"the bars are {reach}; choose --from after their beginning, and --to within them"
            )
        days = [day for day in sessions if self.first <= day <= self.last]
        parts = [days[start : start + self.step] for start in range(0, len(days), self.step)]
        if len(parts) < 2:  # noqa: PLR2004
            raise MonitorError(
                f"{len(days)} sessions from {self.first} to {self.last} are fewer than two periods "
                f"of {self.step}; choose a longer span or a smaller --step"
            )
        return parts

    def faulty(self, periods: Sequence[Sequence[date]]) -> list[Fault]:
        """The faults with their days; one without a day begins with a period."""
        faults = []
        for place, text in enumerate(self.faults, start=1):
            name, _, day = text.partition("@")
            period = periods[place * len(periods) // (len(self.faults) + 1)]
            faults.append(Fault(name, date.fromisoformat(day) if day else period[0]))
        return faults
