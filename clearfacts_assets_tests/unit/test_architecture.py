"""The house rules that no tool checks for us: sizes, cycles, names, who reads the environment, what the lock says.

Directions of imports are contracts in pyproject.toml (``lint-imports``).
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache, lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clearfacts_assets.invoices.destinations import TRANSPORTS
from clearfacts_assets.invoices.sources import SOURCES

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "clearfacts_assets"

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60  # of its body: a parameter on a line of its own makes nothing harder to read
# A migration is one list of what changed, written once and never edited.
MIGRATIONS = PACKAGE / "storage" / "migrations" / "versions"

NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "stuff"}

# Everyone but the first touches the environment only for the processes that it starts, or that run after it.
MAY_TOUCH_THE_ENVIRONMENT = {
    "clearfacts_assets/settings.py",
    "clearfacts_assets/home.py",  # DAGSTER_HOME and CLEARFACTS_HOME, so that child processes use the same folder
    "clearfacts_assets/cli/main.py",  # CLEARFACTS_CONFIG, for --config
    "clearfacts_assets/cli/demo.py",  # addresses of the simulator
    "clearfacts_assets/cli/chargeback/demo.py",  # a home of its own, and back
    "clearfacts_assets/invoices/validation/workers.py",  # PYTHONPATH of the validation's workers
}

# Written in halves, so that this file does not hold what it looks for.
PACKAGE_HOSTS = [
    ".".join(halves)
    for halves in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("python", "org/simple"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("debian", "org/debian"),
        ("anaconda", "org"),
        ("crates", "io"),
        ("golang", "org"),
        ("maven", "org"),
    ]
]


@lru_cache(maxsize=1)
def tracked() -> list[Path]:
    """Every file that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted(path for name in listed.split("\0") if name and (path := PROJECT / name).is_file())


def shown(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and not path.is_relative_to(MIGRATIONS)]


def package_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.is_relative_to(PACKAGE)]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All below a node. Expressions, which are most of a file, hold none."""
    for below in ast.iter_child_nodes(node):
        if isinstance(below, ast.FunctionDef | ast.AsyncFunctionDef):
            yield below
        if not isinstance(below, ast.expr):
            yield from functions(below)


def test_no_file_is_longer_than_400_lines() -> None:
    long = {
        shown(path): count
        for path in python_files()
        if (count := len(path.read_text("utf-8").splitlines())) > MOST_LINES_OF_A_FILE
    }
    assert long == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{shown(path)}:{function.lineno} {function.name}": count
        for path in python_files()
        for function in functions(parsed(path))
        if (count := (function.end_lineno or 0) - function.body[0].lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


def test_no_module_imports_itself_over_others() -> None:
    graph = grimp.build_graph("clearfacts_assets", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " <- ".join(error.args[1]))


def test_the_picture_of_the_rooms_is_what_the_code_is() -> None:
    spec = importlib.util.spec_from_file_location("map", PROJECT / "docs" / "map.py")
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    assert drawing.FILE.read_text("utf-8") == drawing.drawn(drawing.arrows()), "run: make map"


def test_every_file_that_the_documents_name_is_there() -> None:
    named = [
        (shown(document), path)
        for document in tracked()
        if document.suffix == ".md" and document.name != "CHANGELOG.md"
        for path in re.findall(r"`(clearfacts_assets(?:_tests)?/[\w/.-]+)`", document.read_text("utf-8"))
    ]
    assert len(named) > 20
    assert [(document, path) for document, path in named if not (PROJECT / path).exists()] == []


def test_the_walks_pass_files_that_are_there() -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
    walks = text[text.index("## The walk of an invoice") : text.index("## Words")]
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", walks))
    assert len(named) > 20
    assert {path for path in named if not (PACKAGE / path).exists() and not list(PACKAGE.rglob(path))} == set()


def test_every_package_and_module_says_what_it_is_for() -> None:
    silent = [shown(path) for path in package_files() if not ast.get_docstring(parsed(path))]
    assert silent == []


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for path in package_files()} - {MIGRATIONS, MIGRATIONS.parent}
    assert [shown(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_no_name_that_says_nothing() -> None:
    vague = [
        shown(path)
        for path in tracked()
        if path.suffix == ".py"
        for part in path.relative_to(PROJECT).with_suffix("").parts
        if NAMES_THAT_SAY_NOTHING & set(part.split("_"))
    ]
    assert vague == []


def touches_environment(path: Path) -> bool:
    """Whether the file names os.environ or os.getenv, however they were imported."""
    text = path.read_text("utf-8")
    if "environ" not in text and "getenv" not in text:
        return False
    return any(
        (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and {"environ", "getenv"} & _names(node))
        for node in ast.walk(ast.parse(text))
    )


def _names(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def test_only_settings_reads_the_environment() -> None:
    assert {shown(path) for path in package_files() if touches_environment(path)} == MAY_TOUCH_THE_ENVIRONMENT


@pytest.mark.parametrize("code", ["import os\nos.environ['A']", "from os import environ", "import os\nos.getenv('A')"])
def test_touching_the_environment_is_noticed(code: str, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(code)
    assert touches_environment(file)


def test_no_package_registry_is_named_anywhere() -> None:
    named = [
        f"{shown(path)}: {host}"
        for path in tracked()
        for text in [path.read_bytes().decode("utf-8", "replace").lower()]
        for host in PACKAGE_HOSTS
        if host in text
    ]
    assert named == []


def pyproject() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("domain", "named"), [("invoices", "The trade knows no"), ("chargeback", "Chargeback's trade knows no")]
)
def test_all_of_the_trade_is_kept_from_dagster_http_sql_and_settings(domain: str, named: str) -> None:
    """Two contracts name the same modules: one says where they stand, the other what they may not know."""
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    room = next(contract for contract in contracts if contract.get("containers") == [f"clearfacts_assets.{domain}"])
    kept = next(contract for contract in contracts if contract["name"].startswith(named))
    layers = [{name.strip(" ()") for name in re.split("[:|]", layer)} for layer in room["layers"]]
    trade = set().union(*layers[2:])  # below Dagster, and the adapters or what is told
    start = f"clearfacts_assets.{domain}."
    assert {name.removeprefix(start) for name in kept["source_modules"] if name.startswith(start)} == trade


def test_what_opens_a_source_or_a_destination_names_none() -> None:
    """A registry knows them by name; what is special about one is said in its own file."""
    registered = {*SOURCES, *TRANSPORTS}
    named = {
        (shown(path), node.value)
        for path in (PACKAGE / "resources.py", PACKAGE / "invoices" / "defs" / "resources.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and node.value in registered
    }
    assert named == set()


def direct_requirements() -> list[Requirement]:
    project = pyproject()["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    wanted = [Requirement(text) for text in texts]
    return [requirement for requirement in wanted if requirement.name != project["name"]]


def locked() -> dict[str, tuple[str, str]]:
    """Name -> (version, the block's text)."""
    text = (PROJECT / "requirements.lock").read_text("utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    found = {}
    for block in blocks:
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", block)
        assert match, f"requirements.lock: not pinned with ==: {block.splitlines()[0]}"
        found[canonicalize_name(match[1])] = (match[2], block)
    return found


def test_every_locked_package_has_a_hash() -> None:
    assert [name for name, (_, block) in locked().items() if "--hash=sha256:" not in block] == []


def test_the_lock_names_no_address() -> None:
    text = (PROJECT / "requirements.lock").read_text("utf-8")
    options = re.findall(r"^--?\S+", text, flags=re.MULTILINE)
    assert (options, "://" in text) == ([], False)


def test_the_lock_satisfies_every_requirement() -> None:
    lock = locked()
    unmet = [
        str(requirement)
        for requirement in direct_requirements()
        if (name := canonicalize_name(requirement.name)) not in lock
        or not requirement.specifier.contains(lock[name][0])
    ]
    assert unmet == []


def test_the_lock_holds_nothing_that_was_given_up() -> None:
    asked_for = {canonicalize_name(requirement.name) for requirement in direct_requirements()}
    said_to_be = {name for name, (_, block) in locked().items() if "(pyproject.toml)" in block}
    assert said_to_be - asked_for == set()
