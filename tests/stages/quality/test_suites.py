"""Great Expectations is imported without what validation does not need, which stays usable."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from stages.quality.suites import Suites
Suites()
assert "stages" not in str(sys.meta_path)
print("sqlalchemy.orm" in sys.modules, "scipy.stats._stats_py" in sys.modules)
from scipy import stats
import altair, sqlalchemy
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
    assert done.stdout.splitlines() == ["False False", "0.5 Chart select"]


def test_a_store_in_a_database_keeps_sqlalchemy(repo_root: Path, tmp_path: Path) -> None:
    """Where the configuration names one, Great Expectations must find the package."""
    root = tmp_path / "great_expectations"
    root.mkdir()
    text = (repo_root / "great_expectations/great_expectations.yml").read_text(encoding="utf-8")
    (root / "great_expectations.yml").write_text(
        f"{text}# DatabaseStoreBackend\n", encoding="utf-8"
    )
    code = "import sys; from stages.quality.suites import Suites; Suites(); "
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{code}print('sqlalchemy.orm' in sys.modules)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repo_root)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n"
