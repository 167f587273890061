"""What is loaded, and what is refused, with one line that says why."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from serve.checkout import provenance
from serve.checkout.bundle_files import BundleError
from serve.checkout.follow import Follower
from serve.checkout.loading import load
from serve.checkout.provenance import Revision
from stages.forecast import session
from tests.projects import Project
from versions.repository import lock


def relock(folder: Path, path: str) -> None:
    """Write the md5 of a file that a test has changed into dvc.lock."""
    import hashlib

    before = lock.read(folder / "dvc.lock").outs[path].md5
    after = hashlib.md5((folder / path).read_bytes()).hexdigest()  # noqa: S324
    text = (folder / "dvc.lock").read_text(encoding="utf-8")
    assert before in text
    (folder / "dvc.lock").write_text(text.replace(before, after), encoding="utf-8")


def test_a_folder_of_models_and_their_lock_is_enough(models: Path) -> None:
    bundle = load(models, "image-7")
    assert bundle.revision == Revision("image-7")
    assert bundle.as_of == date(2012, 12, 31)
    assert bundle.symbols == ("AAPL", "GOOG", "IBM", "MSFT")
    assert {name: model.card.sessions for name, model in bundle.models.items()} == {
        "short": 1,
        "long": 63,
    }
    assert set(bundle.market) == {"sp500", "nasdaq"}
    outs = lock.read(models / "dvc.lock").outs
    assert bundle.files == {path: outs[path.as_posix()].md5 for path in bundle.files}
    assert len(bundle.files) == 12


def test_without_git_and_a_name_the_revision_is_unknown(models: Path) -> None:
    assert load(models).revision.name == "unknown"


def test_in_a_checkout_the_revision_is_the_commit(project: Project) -> None:
    head = project.git("rev-parse", "HEAD").strip()
    assert load(project.folder).revision == Revision(head)
    text = (project.folder / "dvc.lock").read_text(encoding="utf-8")
    (project.folder / "dvc.lock").write_text(text + "\n", encoding="utf-8")
    assert load(project.folder).revision == Revision(f"{head}-dirty")


def test_a_release_with_the_same_model_names_its_version(project: Project) -> None:
    project.git("tag", "-a", "short@v1.0.0", "-m", "first")
    project.git("tag", "-a", "short@v1.2.0", "-m", "second")
    project.git("tag", "-a", "short#production#1", "-m", "no version")
    head = project.git("rev-parse", "HEAD").strip()
    assert load(project.folder).revision == Revision(head, {"short": "v1.2.0"})


def test_the_session_of_a_forecast_is_that_of_the_calendar(models: Path) -> None:
    bundle = load(models)

    def target(day: str, sessions: int) -> str | None:
        number = int(np.datetime64(day).astype("datetime64[D]").astype(int))
        session = bundle.target(number, sessions)
        return None if session is None else str(np.datetime64(session, "D"))

    assert target("2012-12-31", 1) == "2013-01-02"
    assert target("2012-12-31", 63) == "2013-04-03"
    # The storm closed the exchange on the 29th and 30th.
    assert target("2012-10-26", 1) == "2012-10-31"
    assert target("2012-12-31", 10_000) is None


@pytest.mark.parametrize(
    "path",
    [
        "models/short/model.onnx",
        "models/long/card.json",
        "models/long/scores.json",
        "models/short/explanations.parquet",
        "models/short/forecasts.parquet",
        "models/latest.parquet",
        "models/sessions.json",
    ],
)
def test_a_flipped_bit_is_refused(container: Path, path: str) -> None:
    file = container / path
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=rf"^{path}: md5 is \w+, dvc.lock has \w+; run `dvc ch"):
        load(container)


@pytest.mark.parametrize("kind", ["deps", "outs"])
def test_explanations_of_other_forecasts_and_those_not_made_are_left_out(
    container: Path, kind: str
) -> None:
    file = container / "dvc.lock"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    section = content["stages"]["explain@short"]
    if kind == "deps":
        (entry,) = [each for each in section["deps"] if each["path"].endswith("/forecasts.parquet")]
        entry["md5"] = "0" * 32
    else:
        section["outs"] = []
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    bundle = load(container)
    assert bundle.models["short"].explanations is None
    assert Path("models/short/explanations.parquet") not in bundle.files
    assert bundle.models["long"].explanations is not None


def test_a_missing_file_is_named(container: Path) -> None:
    (container / "models/long/model.onnx").unlink()
    says = r"^models/long/model.onnx: no such file or directory; run `dvc checkout`, .*`dvc repro`"
    with pytest.raises(BundleError, match=says):
        load(container)


def test_a_missing_entry_of_the_lock_is_named(container: Path) -> None:
    file = container / "dvc.lock"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("path: models/short/model.onnx", "path: models/x"), "utf-8")
    with pytest.raises(BundleError) as caught:
        load(container)
    assert str(caught.value) == (
        "dvc.lock: has no entry for models/short/model.onnx; run `dvc repro`"
    )


def test_a_missing_stage_of_the_lock_is_named(container: Path) -> None:
    file = container / "dvc.lock"
    file.write_text(file.read_text(encoding="utf-8").replace("  latest:", "  newest:"), "utf-8")
    with pytest.raises(BundleError, match=r"^dvc.lock: has no params of latest; run `dvc repro`$"):
        load(container)


@pytest.mark.parametrize("levels", [None, [], ["nasdaq"]])
def test_levels_are_those_of_the_revision_and_a_former_one_has_none(
    container: Path, levels: list[str] | None
) -> None:
    content = yaml.safe_load((container / "dvc.lock").read_text(encoding="utf-8"))
    section = content["stages"]["features"]["params"]["params.yaml"]
    section.pop("data.levels", None)
    if levels is not None:
        section["data.levels"] = levels
    (container / "dvc.lock").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert load(container).levels == (levels or [])


def test_a_lock_in_a_merge_is_refused(container: Path) -> None:
    (container / "dvc.lock").write_text("<<<<<<< HEAD\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"^dvc.lock: dvc.lock cannot be read as a dvc.lock"):
        load(container)


def test_a_card_with_a_feature_that_is_not_there_is_refused(container: Path) -> None:
    path = "models/short/card.json"
    card = json.loads((container / path).read_text(encoding="utf-8"))
    card["features"][3] = "moon_phase"
    (container / path).write_text(json.dumps(card), encoding="utf-8")
    relock(container, path)
    with pytest.raises(BundleError) as caught:
        load(container)
    assert str(caught.value) == (
        "models/short/card.json: names moon_phase, which models/latest.parquet does not have"
    )


def test_a_card_with_another_number_of_features_is_refused(container: Path) -> None:
    path = "models/short/card.json"
    card = json.loads((container / path).read_text(encoding="utf-8"))
    count = len(card["features"])
    card["features"].pop()
    (container / path).write_text(json.dumps(card), encoding="utf-8")
    relock(container, path)
    with pytest.raises(BundleError) as caught:
        load(container)
    assert str(caught.value) == (
        f"models/short/model.onnx: takes {count} features, models/short/card.json names {count - 1}"
    )


def test_a_card_of_another_horizon_is_refused(container: Path) -> None:
    shutil.copy(container / "models/long/card.json", container / "models/short/card.json")
    relock(container, "models/short/card.json")
    with pytest.raises(
        BundleError, match=r"is of long over 63 sessions, dvc.lock has short over 1"
    ):
        load(container)


def test_a_checkout_in_the_middle_of_a_look_is_seen(
    container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the models of one commit could get the name of the next."""
    real = provenance.of

    def of(root: Path, *arguments: Any) -> Revision:
        with (root / "dvc.lock").open("a", encoding="utf-8") as lock_file:
            lock_file.write("# of another commit\n")
        return real(root, *arguments)

    monkeypatch.setattr(provenance, "of", of)
    follower = Follower(container)
    follower.look()
    assert follower.problem == "dvc.lock: has changed while it was read"
    monkeypatch.undo()
    follower.look()
    assert follower.problem is None
    monkeypatch.setattr(provenance, "of", of)
    # The same where the bundle stays and only its name is asked for again.
    follower.look()
    assert follower.problem == "dvc.lock: has changed while it was read"


def test_a_file_that_is_not_a_graph_is_refused(container: Path) -> None:
    (container / "models/short/model.onnx").write_bytes(b"no graph")
    relock(container, "models/short/model.onnx")
    with pytest.raises(BundleError, match=r"^models/short/model.onnx: cannot be read \("):
        load(container)


def test_a_graph_that_gives_no_finite_forecast_is_refused(
    container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = session.Session.__call__

    def not_a_number(self: session.Session, *rows: Any) -> dict[str, Any]:
        return {name: values * np.nan for name, values in real(self, *rows).items()}

    monkeypatch.setattr(session.Session, "__call__", not_a_number)
    with pytest.raises(BundleError, match="a row of zeros gives no finite forecast"):
        load(container)


def test_features_are_float32_row_by_row(models: Path) -> None:
    bundle = load(models)
    latest = pl.read_parquet(models / "models/latest.parquet")
    for symbol, rows in bundle.rows.items():
        own = latest.filter(symbol=symbol)
        for name, model in bundle.models.items():
            matrix = rows.features[name]
            assert matrix.dtype == np.float32
            assert matrix.flags.c_contiguous
            expected = own.select(model.card.features).to_numpy()
            assert np.array_equal(matrix, expected, equal_nan=True)
        assert rows.closes.tolist() == own["close"].to_list()
