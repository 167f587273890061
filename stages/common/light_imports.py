"""Import a library without the packages that it can do without."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Import within this context as if these packages were not installed.

    Boosters, for instance, import scikit-learn and pandas for interfaces that nothing here uses:
    that is most of the time their import takes. A package that is imported already stays, and
    after the context each can be imported again.
    """
    absent = set(packages) - set(sys.modules)
    # Python treats a module that is None as one that is not installed.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
