"""The server without its memory: every request has the model run, as for a bar that is new."""

from serve.__main__ import main
from serve.bundle import Model
from serve.forecast import Forecaster
from serve.prediction import Forecast


def known(self: Forecaster, model: Model, symbol: str, row: int) -> Forecast:
    """What `Forecaster.known` gives, computed each time."""
    return self.one(model, self.kept(model, symbol, row))


if __name__ == "__main__":
    Forecaster.known = known  # type: ignore[method-assign]  # in this process alone
    main()
