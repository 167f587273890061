"""The code deps of each stage in dvc.yaml are exactly what the stage imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
import yaml

PACKAGES = ("stages", "versions", "predictions", "serve", "monitor")

DYNAMIC = {"stages.sources"}
"""Packages that import their own modules by name: who imports the package may need each of them."""


WITHOUT_EFFECT = {"stages/__init__.py"}
"""No result depends on it: it says when garbage is collected."""


@pytest.fixture(scope="module")
def imports(repo_root: Path) -> grimp.ImportGraph:
    """Every import of the product, those within functions included, those for types alone not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repo_root))
        graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    for package in DYNAMIC:
        for module in graph.find_descendants(package):
            graph.add_import(importer=package, imported=module)
    return graph


def file_of(module: str, root: Path) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def says_something(path: Path) -> bool:
    """Whether a module holds more than a docstring."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr) for node in body)


def closure(module: str, imports: grimp.ImportGraph, root: Path) -> set[str]:
    """The files that decide what a module does, relative to the root."""
    modules = {module} | imports.find_upstream_modules(module)
    parents = {name.rpartition(".")[0] for name in modules} - {""}
    parents |= {name.rpartition(".")[0] for name in parents} - {""}
    files = {file_of(name, root) for name in modules | parents}
    named = {str(path.relative_to(root)) for path in files if says_something(path)}
    return named - WITHOUT_EFFECT


def listed(deps: list[str], root: Path) -> Iterator[str]:
    """The modules that the deps of a stage name, a folder for all that it holds."""
    for dep in deps:
        if dep.startswith(PACKAGES):
            files = sorted((root / dep).rglob("*.py")) if (root / dep).is_dir() else [root / dep]
            yield from (str(path.relative_to(root)) for path in files if says_something(path))


def stages_of(root: Path) -> dict[str, tuple[str, list[str]]]:
    """By name, the module that a stage runs, and its deps."""
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: (stage["cmd"].split()[2], stage["deps"]) for name, stage in pipeline.items()}


def test_every_stage_names_the_code_that_it_imports_and_no_other(
    imports: grimp.ImportGraph, repo_root: Path
) -> None:
    wrong = {}
    for name, (module, deps) in stages_of(repo_root).items():
        needed, named = closure(module, imports, repo_root), set(listed(deps, repo_root))
        if needed != named:
            wrong[name] = {"missing": sorted(needed - named), "not used": sorted(named - needed)}
    assert wrong == {}


def test_a_module_that_is_imported_and_not_named_is_seen(
    imports: grimp.ImportGraph, repo_root: Path
) -> None:
    """Evaluate without `scoring/`, and features with a module that it does not use."""
    module, deps = stages_of(repo_root)["evaluate"]
    fewer = [dep for dep in deps if dep != "stages/forecast/scoring"]
    needed = closure(module, imports, repo_root)
    assert "stages/forecast/scoring/scores.py" in needed - set(listed(fewer, repo_root))
    module, deps = stages_of(repo_root)["features"]
    more = set(listed([*deps, "stages/forecast"], repo_root))
    assert "stages/forecast/evaluation/combine.py" in more - closure(module, imports, repo_root)


def test_what_has_no_effect_speaks_of_garbage_alone(repo_root: Path) -> None:
    for name in WITHOUT_EFFECT:
        tree = ast.parse((repo_root / name).read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert names == {"gc", "sys"}
        assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


def test_no_stage_imports_another(imports: grimp.ImportGraph, repo_root: Path) -> None:
    modules = {module for module, _ in stages_of(repo_root).values()}
    crossing = {
        (one, other)
        for one in modules
        for other in imports.find_modules_directly_imported_by(one) & modules
    }
    assert crossing == set()
