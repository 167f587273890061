"""The chain of a file, from hand-made locks and the project's own."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import VersionError
from versions.repository import lock
from versions.repository.lock import Entry, Lock, Stage
from versions.repository.trace import Raw, trace


def entry(path: str) -> Entry:
    return Entry(path, f"{path.replace('/', '')}0", 1)


def stage(name: str, deps: str, outs: str, **params: object) -> Stage:
    values = {key.replace("__", "."): value for key, value in params.items()}
    return Stage(
        *(name, f"run {name}", tuple(map(entry, deps.split())), values),
        tuple(map(entry, outs.split())),
    )


def built(*stages: Stage) -> Lock:
    return Lock({stage.name: stage for stage in stages})


# As DVC may leave it: not in the order of the pipeline.
LOCK = built(
    stage(
        "evaluate", "models/candidates data/sets stages/evaluate.py", "models/short metrics.json"
    ),
    stage(
        *("ingest", "data/inbox stages/ingest.py", "data/raw"),
        data={"source": "csv", "as_of": "2020-01-02", "sources": {"csv": {"thousands": ","}}},
    ),
    stage("train@a", "data/sets stages/train.py stages/forecast", "models/candidates/a", train=1),
    stage("train@b", "data/sets", "models/candidates/b"),
    stage("clean", "data/raw data/actions.csv", "data/clean"),
    stage("dataset", "data/clean/daily.parquet", "data/sets", dataset={"a": {"b": 1}, "c": {}}),
    stage("other", "data/raw", "elsewhere"),
)


def test_every_maker_is_on_the_way_and_no_other() -> None:
    lineage = trace(LOCK, "models/short/model.onnx")
    assert {step.name for step in lineage.stages} == set(LOCK.stages) - {"other"}
    assert [entry.path for entry in lineage.outputs] == ["models/short"]
    assert [entry.path for entry in lineage.inputs] == ["data/inbox", "data/actions.csv"]
    assert lineage.raw == Raw("csv", {"thousands": ","}, "2020-01-02")
    assert [step.name for step in trace(LOCK, "data/clean").stages] == ["clean", "ingest"]


def test_a_step_tells_code_from_data_and_who_made_what_it_read() -> None:
    steps = {step.name: step for step in trace(LOCK, "metrics.json").stages}
    evaluate = steps["evaluate"]
    assert [entry.path for entry in evaluate.code] == ["stages/evaluate.py"]
    assert [(dep.path, dep.made_by) for dep in evaluate.deps] == [
        ("models/candidates", ("train@a", "train@b")),
        ("data/sets", ("dataset",)),
    ]
    assert evaluate.cmd == "run evaluate"
    assert [entry.path for entry in evaluate.outs] == ["models/short", "metrics.json"]
    assert [entry.path for entry in steps["train@a"].code] == ["stages/train.py", "stages/forecast"]
    # A file in a folder that a stage made.
    assert steps["dataset"].deps[0].made_by == ("clean",)
    assert steps["dataset"].params == {"dataset.a.b": 1, "dataset.c": {}}
    assert steps["clean"].deps[1].made_by == ()


def test_a_folder_of_several_outputs_is_traced_whole() -> None:
    lineage = trace(LOCK, "models")
    assert {entry.path for entry in lineage.outputs} == {
        *("models/short", "models/candidates/a", "models/candidates/b")
    }
    assert lineage.stages[0].name == "evaluate"


def test_an_input_names_its_readers() -> None:
    lineage = trace(LOCK, "data/inbox/AAPL.csv")
    assert (lineage.stages, lineage.readers, lineage.raw) == ((), ("ingest",), None)
    assert [entry.path for entry in lineage.outputs] == ["data/inbox"]


def test_what_no_stage_knows() -> None:
    with pytest.raises(VersionError) as caught:
        trace(LOCK, "models/shorter")
    message = str(caught.value)
    assert message.startswith("dvc.lock: no stage makes or reads models/shorter")
    assert "did you mean models/short?" in message
    with pytest.raises(VersionError, match=r"^the lock: no stage .* xyz; there are models/short, "):
        trace(LOCK, "xyz", "the lock")


@given(st.data())
def test_each_stage_comes_before_those_that_it_took_from(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    deps = [
        data.draw(st.lists(st.integers(0, at - 1), unique=True)) if at else []
        for at in range(count)
    ]
    names = data.draw(st.permutations(range(count)))
    shuffled = built(
        *(stage(f"s{at}", " ".join(f"out{dep}" for dep in deps[at]), f"out{at}") for at in names)
    )
    target = data.draw(st.integers(0, count - 1))
    order = [step.name for step in trace(shuffled, f"out{target}").stages]
    reached, waiting = set(), [target]
    while waiting:
        at = waiting.pop()
        reached.add(at)
        waiting += deps[at]
    assert len(order) == len(set(order))
    assert set(order) == {f"s{at}" for at in reached}
    for at in reached:
        assert all(order.index(f"s{at}") < order.index(f"s{dep}") for dep in deps[at])


def test_the_model_of_a_horizon_has_nothing_of_the_other(repo_root: Path) -> None:
    lineage = trace(lock.read(repo_root / "dvc.lock"), "models/short/model.onnx")
    names = [step.name for step in lineage.stages]
    assert names[0] == "evaluate@short"
    assert names[-1] == "ingest"
    assert {"train@short-ridge", "features", "latest", "clean"} <= set(names)
    assert not [name for name in names if name.startswith(("train@long", "evaluate@long"))]
    assert lineage.raw == Raw("sample", {}, "2012-12-31")
    assert {"data/inbox", "data/actions.csv"} <= {entry.path for entry in lineage.inputs}
    train = next(step for step in lineage.stages if step.name == "train@short-ridge")
    assert train.params["models.ridge.alpha"] == 10.0
    assert train.params["train.folds"] == 5


def test_a_server_can_afford_it(repo_root: Path) -> None:
    script = (
        "import sys\n"
        "from versions.repository import workspace, trace as lineage, commits as search\n"
        "print(*{'dvc', 'pandas', 'polars', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repo_root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
