"""What must hold of the repository itself: its layout, its locks, its commands."""

import ast
import configparser
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.messages import facts

TOP_LEVEL = {
    *("dvc.yaml", "params.yaml", "dvc.lock", "data", "models", "metrics"),
    *("stages", "versions", "predictions", "serve", "monitor", "dashboard"),
    *("docs", "benchmarks", "great_expectations", "tests", "requirements.in", "requirements.txt"),
    *("requirements-dev.in", "requirements-dev.txt", "pyproject.toml", "Makefile", "README.md"),
    *("LICENSE", ".ci", ".github", ".dvc", ".dvcignore", ".gitignore", ".gitattributes"),
    ".pre-commit-config.yaml",
}

PYTHONS = ("3.11", "3.12", "3.13")

ROOMS = ("stages/", "versions/", "predictions/", "serve/", "monitor/", "dashboard/")

VAGUE = {
    *("found", "made", "told", "held", "said", "meant", "kept", "asked", "taken", "given"),
    *("shown", "seen", "looked", "heard", "at_hand", "census", "patience", "past"),
}
"""Names that say what was done with a value, or are a figure of speech, not what it is."""


def tracked(root: Path) -> list[str]:
    """The files of the project, those included that are not committed yet."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in listed.split("\0") if name and (root / name).is_file())


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """The text files of the project; the bars that a user commits are the user's."""
    for name in tracked(root):
        if name.startswith("data/"):
            continue
        content = (root / name).read_bytes()
        if b"\0" not in content:
            yield name, content.decode("utf-8")


def product(root: Path) -> list[Path]:
    """The modules of the product, relative to the root."""
    listed = [Path(name) for name in tracked(root) if name.startswith(ROOMS)]
    return [path for path in listed if path.suffix == ".py"]


def lines(path: Path) -> list[str]:
    """The requirements of a file: no comments of their own, no options, no blank lines."""
    rows = path.read_text(encoding="utf-8").splitlines()
    return [line for line in rows if line and not line.startswith((" ", "#", "-c"))]


def pins(root: Path) -> list[Requirement]:
    names = ("requirements.txt", "requirements-dev.txt")
    return [Requirement(line) for name in names for line in lines(root / name)]


def direct(root: Path) -> list[str]:
    return [
        line for name in ("requirements.in", "requirements-dev.in") for line in lines(root / name)
    ]


def test_the_top_level_is_complete(repo_root: Path) -> None:
    present = {name.split("/")[0] for name in tracked(repo_root)}
    assert present >= TOP_LEVEL


def test_no_two_modules_share_a_name(repo_root: Path) -> None:
    """A name in an error, an import or a talk means one module, whatever its room."""
    modules = [path for path in product(repo_root) if not path.stem.startswith("__")]
    counts = Counter(path.name for path in modules)
    assert [str(path) for path in modules if counts[path.name] > 1] == []


def names(tree: ast.AST) -> Iterator[str]:
    """What a module calls its values and functions, without leading underscores."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name.strip("_")
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name.strip("_")


def test_a_value_is_named_after_what_it_is(repo_root: Path) -> None:
    """As CONTRIBUTING.md asks: `weights` or `rows`, not `found` or `made`."""
    vague = [
        f"{path}: {name}"
        for path in tracked(repo_root)
        if path.endswith(".py")
        for name in names(ast.parse((repo_root / path).read_bytes()))
        if name in VAGUE
    ]
    # A key of `python -m versions.lineage --json`.
    assert vague == ["versions/repository/workspace.py: at_hand"]


def test_a_folder_of_expectations_does_not_shadow_the_package(repo_root: Path) -> None:
    assert "great_expectations/__init__.py" not in tracked(repo_root)


def test_no_file_speaks_of_a_machine_or_of_work_left_undone(repo_root: Path) -> None:
    # The brackets keep this file from finding itself.
    paths = r"/[r]oot/|/[h]ome/|/[U]sers/|/[w]ork/|[A-Z]:\\\\"
    banned = re.compile(rf"(?<![\w.])(?:{paths})|\b(?:TOD[O]|FIXM[E]|XX[X])\b")
    offences = [
        f"{name}:{number}: {line}"
        for name, text in texts(repo_root)
        for number, line in enumerate(text.splitlines(), 1)
        if banned.search(line)
    ]
    assert offences == []


def test_pages_name_files_that_are_there(repo_root: Path) -> None:
    """Links lead somewhere, and modules in backticks have not moved."""
    missing, pages = [], 0
    for name, text in texts(repo_root):
        if not name.endswith(".md"):
            continue
        pages += 1
        folder = (repo_root / name).parent
        links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
        modules = re.findall(
            r"`((?:stages|versions|predictions|serve|monitor|dashboard|tests|benchmarks|docs)/[\w./-]*)`",
            text,
        )
        missing += [f"{name}: {link}" for link in links if not (folder / link).exists()]
        missing += [f"{name}: {path}" for path in modules if not (repo_root / path).exists()]
    assert missing == []
    assert pages > 20


def test_pages_name_commands_of_make_that_are_there(repo_root: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):(?!=)", makefile(repo_root), re.MULTILINE))
    named = {
        (name, target)
        for name, text in texts(repo_root)
        if name.endswith(".md")
        for target in re.findall(r"(?:`|^|&& )make ([a-z0-9-]+)", text, re.MULTILINE)
    }
    assert {(name, target) for name, target in named if target not in targets} == set()
    assert {target for name, target in named if name == "README.md"} >= {"run", "test"}
    assert len({name for name, _ in named}) > 8


def test_text_ends_its_lines_alike(repo_root: Path) -> None:
    assert [name for name, text in texts(repo_root) if "\r" in text] == []


def test_every_direct_dependency_has_its_reason(repo_root: Path) -> None:
    assert [line for line in direct(repo_root) if not re.search(r"\S\s+# \S", line)] == []


def test_what_is_imported_is_a_direct_dependency(repo_root: Path) -> None:
    """A package that only another one brings may be gone after the next `make lock`."""
    providers = metadata.packages_distributions()
    own = {name.split("/")[0] for name in tracked(repo_root)}
    product = named(lines(repo_root / "requirements.in"))
    every = named(direct(repo_root))
    rooms = dict.fromkeys(
        ("stages", "versions", "predictions", "serve", "monitor", "dashboard"), product
    )
    # Released and pinned by pydantic, as its other half.
    own.add("pydantic_core")
    missing = set()
    for name in tracked(repo_root):
        if not name.endswith(".py"):
            continue
        tree = ast.parse((repo_root / name).read_text(encoding="utf-8"))
        for module in imports(tree) - own - sys.stdlib_module_names:
            allowed = rooms.get(name.split("/")[0], every)
            if allowed.isdisjoint(map(canonicalize_name, providers.get(module, []))):
                missing.add((name, module))
    assert missing == set()


def imports(tree: ast.AST) -> set[str]:
    """The top-level names of the modules that a module imports, wherever it does."""
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.split(".")[0])
    return modules


def named(requirements: Sequence[str]) -> set[str]:
    return {canonicalize_name(Requirement(line.split("#")[0]).name) for line in requirements}


def test_the_lock_has_one_version_of_each_package_for_every_python(repo_root: Path) -> None:
    versions: dict[str, set[str]] = {}
    for pin in pins(repo_root):
        assert re.fullmatch(r"==[^*]+", str(pin.specifier)), f"{pin} is not pinned"
        marker = str(pin.marker or "").replace("python_implementation", "")
        assert "python_" not in marker or 'sys_platform == "emscripten"' in marker
        versions.setdefault(canonicalize_name(pin.name), set()).add(str(pin.specifier))
    assert {name: pinned for name, pinned in versions.items() if len(pinned) > 1} == {}
    assert named(direct(repo_root)) <= set(versions)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_is_complete(repo_root: Path, python: str) -> None:
    """It is installed without a resolver: nothing that a package needs may be left out."""
    environment: dict[str, str] = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": python,
        "python_full_version": f"{python}.0",
    }

    def applies(requirement: Requirement, extras: Sequence[str] = ("",)) -> bool:
        marker = requirement.marker
        return marker is None or any(marker.evaluate({**environment, "extra": e}) for e in extras)

    locked = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in pins(repo_root)
        if applies(pin)
    }
    wanted = (Requirement(line.split("#")[0]) for line in direct(repo_root))
    waiting = [requirement for requirement in wanted if applies(requirement)]
    visited, wrong = set(), []
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in locked or not requirement.specifier.contains(locked[name], prereleases=True):
            wrong.append(str(requirement))
            continue
        key = (name, frozenset(requirement.extras))
        if key in visited:
            continue
        visited.add(key)
        assert metadata.version(name) == locked[name], f"{name}: run `make install-dev`"
        needs = (Requirement(text) for text in metadata.requires(name) or ())
        waiting += [need for need in needs if applies(need, ("", *requirement.extras))]
    assert wrong == []


def test_no_library_for_a_gpu_is_installed(repo_root: Path) -> None:
    heavy = re.compile(r"^(nvidia|cuda|cupy|triton|torch)")
    assert [pin.name for pin in pins(repo_root) if heavy.search(pin.name)] == []
    # xgboost brings CUDA on Linux and Windows; macOS has no xgboost-cpu. Same version, same bytes.
    boosters = [pin for pin in pins(repo_root) if pin.name.startswith("xgboost")]
    assert {pin.name: str(pin.marker) for pin in boosters} == {
        "xgboost": 'sys_platform == "darwin"',
        "xgboost-cpu": 'sys_platform != "darwin"',
    }
    assert len({str(pin.specifier) for pin in boosters}) == 1


def test_dvc_reports_nothing_and_never_links_into_its_cache(repo_root: Path) -> None:
    config = configparser.ConfigParser()
    config.read(repo_root / ".dvc" / "config", encoding="utf-8")
    assert config["core"]["analytics"] == "false"
    assert config["core"]["check_update"] == "false"
    # A file linked from the cache is changed in the cache when it is changed in place.
    assert config["cache"]["type"].strip('"') == "reflink,copy"


def test_shared_modules_are_light(repo_root: Path) -> None:
    heavy = ("great_expectations", "lightgbm", "onnx", "pandas", "scipy", "sklearn", "xgboost")
    script = (
        "import sys\n"
        "from stages import indicators, params, sources\n"
        "from stages.common import errors, options, paths, running, tables\n"
        "params.load()\n"
        f"print(*sorted(set(sys.modules) & {set(heavy)}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repo_root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def makefile(root: Path) -> str:
    return (root / "Makefile").read_text(encoding="utf-8")


def test_every_command_of_make_has_help(repo_root: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):(?!=)", makefile(repo_root), re.MULTILINE))
    wanted = {"help", "install", "run", "test", "test-slow", "test-all", "coverage", "lint"}
    assert targets >= wanted | {"format", "lock", "benchmarks", "table", "clean"}
    printed = make(repo_root, "help")
    helped = dict(re.findall(r"^  make ([a-z0-9-]+) +(\S.*)$", printed, re.MULTILINE))
    assert set(helped) == targets


def make(root: Path, *arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


def test_commits_and_ci_are_checked_alike(repo_root: Path) -> None:
    config = yaml.safe_load((repo_root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [(repo["repo"]) for repo in config["repos"]] == ["local"]
    assert [hook["entry"] for hook in hooks] == ["make lint", ".ci/git-hook pre-commit"]
    assert re.search(r"^part .* make .*\blint$", ci(repo_root), re.MULTILINE)


def test_ci_runs_every_test_and_one_variable_asks_for_the_long_checks(repo_root: Path) -> None:
    """`.ci/run` asks for them by `make test-all`, which sets it for the tests."""
    every = "-m 'slow or not slow'"
    parts = re.findall(
        r"^(if .*CI_FULL.*|else|fi| +part .* (test\S*(?: ARGS=.*)?))$",
        ci(repo_root),
        re.MULTILINE,
    )
    assert [name or line.split()[0] for line, name in parts] == [
        *("if", "test-all", "else", f'test ARGS="{every}"', "fi")
    ]
    commands = {
        name: make(repo_root, "--dry-run", name) for name in ("test", "test-slow", "test-all")
    }
    # Of two choices pytest takes the last one.
    everything = make(repo_root, "--dry-run", "test", f"ARGS={every}")
    assert everything == f"{commands['test'].rstrip()} {every}\n"
    assert "CI_FULL=1" in commands["test-all"]
    whole = commands["test-all"].replace("CI_FULL=1 ", "")
    # What one of the two leaves out is what the other runs.
    assert commands["test"].replace(" -m 'not slow'", "") == whole
    assert commands["test-slow"].replace(" -m slow", "") == whole


def ci(root: Path) -> str:
    return (root / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "script",
    [
        *(".ci/run", ".ci/install", ".ci/metrics-diff", ".ci/push-data"),
        *(".ci/hooks", ".ci/git-hook"),
    ],
)
def test_scripts_are_well_formed_and_executable(repo_root: Path, script: str) -> None:
    path = repo_root / script
    assert os.access(path, os.X_OK)
    shell = "bash" if "bash" in path.read_text(encoding="utf-8").splitlines()[0] else "sh"
    subprocess.run([shell, "-n", str(path)], check=True)


def install(root: Path, folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """`.ci/install` of an environment in `folder`, from the lock that lies there."""
    return subprocess.run(
        ["sh", str(root / ".ci" / "install"), ".venv", python, "lock.txt"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_an_environment_is_made_anew_after_an_interruption_and_then_kept(
    repo_root: Path, tmp_path: Path
) -> None:
    # A lock of no packages: an environment of pip alone, which needs no network.
    (tmp_path / "lock.txt").write_text("# none\n", encoding="utf-8")
    # What is left of an installation that was cut off.
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    for name in (".unfinished", "half"):
        (venv / name).touch()
    installation = install(repo_root, tmp_path, sys.executable)
    assert installation.returncode == 0, installation.stderr
    assert installation.stdout.startswith("Making .venv with Python ")
    assert not (venv / "half").exists()
    assert not (venv / ".unfinished").exists()
    assert list(venv.glob("lib/*/site-packages/pip/__pycache__/*.pyc"))

    again = install(repo_root, tmp_path, "")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    (tmp_path / "lock.txt").write_text("# still none\n", encoding="utf-8")
    updated = install(repo_root, tmp_path, "")
    assert updated.returncode == 0, updated.stderr
    assert updated.stdout.startswith("Installing -r lock.txt into .venv")


def test_a_python_that_is_too_old_is_refused_in_one_line(repo_root: Path, tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("# none\n", encoding="utf-8")
    old = tmp_path / "python3.9"
    pretend = "import sys; sys.version_info = (3, 9, 2); "
    old.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{pretend}$2"\n', encoding="utf-8")
    old.chmod(0o755)
    refused = install(repo_root, tmp_path, str(old))
    assert refused.returncode == 1
    assert facts(refused.stderr) == facts(
        f"error: {old} is Python 3.9, not 3.11 or newer; "
        "name one that is, for example: make PYTHON=python3.12 run\n"
    )
    assert not (tmp_path / ".venv").exists()


def test_a_python_that_is_not_there_is_refused_in_one_line(repo_root: Path, tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("# none\n", encoding="utf-8")
    refused = install(repo_root, tmp_path, "python-of-nobody")
    assert refused.returncode == 1
    assert facts(refused.stderr) == facts(
        "error: python-of-nobody is no Python 3.11 or newer; "
        "name one that is, for example: make PYTHON=python3.12 run\n"
    )
