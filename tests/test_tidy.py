"""The walls of the house, held by a test: who imports whom, what is documented, how long things may be."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain import errors, writer

ROOT = Path(__file__).parent.parent
FOLDERS = ("domain", "projections", "billing", "api", "examples")
MAY_IMPORT = {
    "domain": {"domain"},
    "projections": {"domain", "projections"},
    "billing": {"domain", "billing", "projections.usage"},
    "api": {"domain", "projections", "billing", "api", "examples"},
    "examples": {"domain", "examples"},
}
ONLY_IN = {
    "eventsourcing": {"domain/journal.py", "projections/runner.py"},
    "stripe": {"billing/stripe.py"},
}
FUNCTION_LINES_MAX = 40
FILE_LINES_MAX = 400
LONG_FUNCTIONS = 0  # ratchet: may only go down
LONG_FILES = 0  # ratchet: may only go down


def sources(*folders: str) -> Iterator[tuple[str, Path]]:
    for folder in folders or FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name: str, allowed: set[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_go_one_way(folder: str) -> None:
    ours = {f"{each}" for each in FOLDERS}
    wrong = [
        f"{name} imports {imported}"
        for name, path in sources(folder)
        for imported in imports(path)
        if inside(imported, ours) and not inside(imported, MAY_IMPORT[folder])
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ONLY_IN)
def test_some_packages_are_known_in_one_place_only(package: str) -> None:
    users = {name for name, path in sources() for imported in imports(path) if inside(imported, {package})}
    assert users <= ONLY_IN[package]


def test_no_message_format_imports_another_one() -> None:
    edifact = {"edifact", "edifact_customs", "edifact_segments", "edifact_syntax", "edifact_writer"}
    syntax = {*edifact, "epc", "jsonslices", "trees"}
    wrong = [
        f"{name} imports {imported}"
        for name, path in sources("api/formats")
        if path.stem != "registry"
        for imported in imports(path)
        if inside(imported, {"api.formats"}) and imported.split(".")[2] not in {path.stem, *syntax}
    ]
    assert wrong == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name
        for name, path in sources(*FOLDERS, "tests")
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_functions_and_files_stay_short() -> None:
    functions = [
        f"{name}:{node.lineno} {node.name}"
        for name, path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    files = [name for name, path in sources() if len(path.read_text().splitlines()) > FILE_LINES_MAX]
    assert len(functions) <= LONG_FUNCTIONS, functions
    assert len(files) <= LONG_FILES, files


def all_errors(kind: type[errors.KouanError] = errors.KouanError) -> Iterator[type[errors.KouanError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from all_errors(each)


def test_every_problem_has_its_line_in_the_docs() -> None:
    import api.app  # noqa: F401  makes all errors known

    assert issubclass(writer.Busy, errors.KouanError)
    described = (ROOT / "docs" / "problems.md").read_text()
    slugs = {kind.slug for kind in all_errors() if kind is not errors.KouanError}
    assert {slug for slug in slugs if f"`{slug}`" not in described} == set()


def test_the_lock_files_name_no_registry() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        assert not re.search(r"https?://|index-url|find-links", lock.read_text())
