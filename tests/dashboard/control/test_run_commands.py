"""Pipeline Control runs a fixed list of commands, whatever its arguments are."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.control import run_commands
from dashboard.control.run_commands import Command, CommandError

Make = Callable[[], Command]

HOSTILE = (
    *("", " ", "a b", "a;rm -rf /", "--force", "-f", "a\nb", "a'b", "$(id)", "`id`", "../a", "é"),
    *("a" * 61, "a-", "-a", "short@v1.0.0", "a\0b", "short#production"),
)


def test_reproduce_takes_stages_of_the_pipeline_alone() -> None:
    assert run_commands.reproduce().words == ("dvc", "--wait-for-lock", "repro")
    words = run_commands.reproduce(["train@short-ridge", "latest"]).words
    assert words[3:] == ("train@short-ridge", "latest")
    with pytest.raises(CommandError, match=r"unknown stage 'lates' \(did you mean latest\?\)"):
        run_commands.reproduce(["lates"])


@pytest.mark.parametrize("text", [*HOSTILE, "dvc.yaml", "train"])
def test_no_text_becomes_a_stage(text: str) -> None:
    with pytest.raises(CommandError):
        run_commands.reproduce([text])


def test_refresh_takes_a_date() -> None:
    command = run_commands.refresh(date(2013, 1, 2), keep_models=True)
    assert command.words == ("versions.refresh", "2013-01-02", "--keep", "models")
    assert run_commands.refresh(date(2013, 1, 2)).words == ("versions.refresh", "2013-01-02")
    for wrong in ("2013-01-02", datetime(2013, 1, 2), None):  # noqa: DTZ001  # is refused
        with pytest.raises(CommandError, match="as_of"):
            run_commands.refresh(wrong)  # type: ignore[arg-type]


def test_an_experiment_leaves_the_workspace_alone_and_sets_typed_values() -> None:
    command = run_commands.experiment(
        "wide-1",
        {
            "features.sma": [5, 20],
            "train.seed": 7,
            "evaluate.level": 0.9,
            "data.as_of": date(2012, 12, 31),
            "data.source": "csv",
            "data.start": None,
            "models.lstm.deep": True,
        },
    )
    assert command.words == (
        *("dvc", "--wait-for-lock", "exp", "run", "--temp", "--name=wide-1"),
        *("--set-param=features.sma=[5,20]", "--set-param=train.seed=7"),
        *("--set-param=evaluate.level=0.9", '--set-param=data.as_of="2012-12-31"'),
        *('--set-param=data.source="csv"', "--set-param=data.start=null"),
        "--set-param=models.lstm.deep=true",
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_a_name(text: str) -> None:
    makers: tuple[Make, ...] = (
        lambda: run_commands.experiment(text, {}),
        lambda: run_commands.register(text),
        lambda: run_commands.promote(text, "v1.0.0"),
        lambda: run_commands.promote("short", text),
        lambda: run_commands.promote("short", "v1.0.0", text),
        lambda: run_commands.rollback(text),
        lambda: run_commands.rollback("short", text),
        lambda: run_commands.register("short", text),  # type: ignore[arg-type]
    )
    for make in makers:
        with pytest.raises(CommandError):
            make()


@pytest.mark.parametrize(
    "key", ["", "a=b", "a b", "-a", "a..b", "other.yaml:a", "+new", "~gone", "a\n"]
)
def test_no_text_becomes_a_key(key: str) -> None:
    with pytest.raises(CommandError, match=r"params\.yaml"):
        run_commands.experiment("wide", {key: 1})


@pytest.mark.parametrize(
    "value",
    ["a$b", "${train.seed}", 'a"b', "a'b", "a\\b", "a\nb", {"a": 1}, float("nan"), object()],
)
def test_a_value_with_a_meaning_of_its_own_is_refused(value: object) -> None:
    with pytest.raises(CommandError, match=r"train\.seed"):
        run_commands.experiment("wide", {"train.seed": value})


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(scalars | st.lists(scalars, max_size=4))
def test_dvc_reads_every_value_as_it_was(value: Any) -> None:
    """What is accepted is one word, and comes out of the parser of `dvc exp run -S` as it was."""
    from dvc.utils.hydra import to_hydra_overrides

    try:
        word = run_commands.experiment("wide", {"a.b": value}).words[-1]
    except CommandError:
        return
    option, _, override = word.partition("=")
    assert option == "--set-param"
    (parsed,) = to_hydra_overrides([override])
    assert parsed.key_or_group == "a.b"
    assert not parsed.is_sweep_override()
    read = parsed.value()
    if isinstance(value, list):
        assert list(map(str, read)) == list(map(str, value))
    else:
        assert str(read) == str(value)


def test_releases_are_those_of_the_command_line() -> None:
    assert run_commands.register("short", "patch").words == (
        *("versions.release", "register", "short", "--bump", "patch"),
    )
    assert run_commands.promote("short", "v1.2.0").words == (
        *("versions.release", "promote", "short", "v1.2.0", "--stage", "production"),
    )
    assert run_commands.rollback("short").words == (
        *("versions.release", "rollback", "short", "--stage", "production"),
    )
