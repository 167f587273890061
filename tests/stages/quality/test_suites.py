"""Great Expectations is imported without what validation does not need, which stays usable."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from stages.quality.suites import Suites
Suites().context
assert "stages" not in str(sys.meta_path)
print(*(name in sys.modules for name in ("sqlalchemy.orm", "botocore", "scipy.stats._stats_py")))
from scipy import stats
import altair, botocore.client, sqlalchemy
print(stats.norm.cdf(0), altair.Chart.__name__, sqlalchemy.select.__name__)
"""


def test_a_light_import_leaves_every_package_usable(repo_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE],
        cwd=repo_root,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["False False False", "0.5 Chart select"]


@pytest.mark.parametrize(
    ("store", "package"),
    [("DatabaseStoreBackend", "sqlalchemy.orm"), ("TupleS3StoreBackend", "botocore.client")],
)
def test_a_store_keeps_what_it_needs(
    repo_root: Path, tmp_path: Path, store: str, package: str
) -> None:
    """Great Expectations must find the package of a store that the configuration names."""
    root = tmp_path / "great_expectations"
    root.mkdir()
    text = (repo_root / "great_expectations/great_expectations.yml").read_text(encoding="utf-8")
    (root / "great_expectations.yml").write_text(f"{text}# {store}\n", encoding="utf-8")
    code = "import sys; from stages.quality.suites import Suites; Suites().context; "
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{code}print({package!r} in sys.modules)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repo_root)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n"
