"""The project's top level: what stands there, and that the parts name each other rightly."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]

TOP_LEVEL = [
    ".ci/run",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "clearfacts_assets/definitions.py",
    "clearfacts_assets_tests/conftest.py",
    "dagster.yaml",
    "docs/settings.md",
    "helm-values/production.yaml",
    "pyproject.toml",
    "requirements.lock",
    "workspace.yaml",
]


PACKAGE = PROJECT / "clearfacts_assets"
MOST_LINES = 320  # of a file of the product; what is longer is about two things
MOST_PARAMETERS = 7  # of a function, without self; what has more hides an object
# A version of the database is written once, in one piece, and never edited.
ONE_PIECE = "storage/migrations/versions/"


def text(name: str) -> str:
    return (PROJECT / name).read_text("utf-8")


def pyproject() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def rules() -> set[str]:
    return set(re.findall(r"^([a-z][a-z%-]*):", text("Makefile"), flags=re.MULTILINE))


def targets() -> set[str]:
    """The rules as they are called: ``bench-%`` stands for each benchmark that there is."""
    return rules() | {f"bench-{path.stem}" for path in PROJECT.glob("benchmarks/*.py")}


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_the_top_level_is_complete(name: str) -> None:
    assert (PROJECT / name).is_file()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_every_make_command_that_is_written_down_exists(name: str) -> None:
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)", "\n".join(code(text(name))))) <= targets()


def code(document: str) -> list[str]:
    """What stands between backticks: fenced blocks and inline code."""
    return re.findall(r"```.*?```|`[^`\n]+`", document, flags=re.DOTALL)


def test_make_alone_lists_every_rule() -> None:
    command = ["make", "--no-print-directory"]  # these tests are themselves started by make
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    assert {line.split()[1] for line in listed.splitlines()} == rules()


def test_ci_runs_the_readmes_test_command() -> None:
    assert os.access(PROJECT / ".ci/run", os.X_OK)
    assert text(".ci/run").rstrip().endswith("make test")


def documents() -> list[Path]:
    folders = ("", "docs/**/", "helm-values/", "benchmarks/")
    return [path for folder in folders for path in PROJECT.glob(f"{folder}*.md")]


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(PROJECT)}: {target}"
        for document in documents()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert broken == []


def test_the_code_location_has_one_name() -> None:
    (location,) = yaml.safe_load(text("workspace.yaml"))["load_from"]
    project = pyproject()["tool"]["dg"]["project"]
    assert location["python_module"] == {
        "module_name": project["code_location_target_module"],
        "location_name": project["code_location_name"],
    }


def test_dagster_yaml_loads(tmp_path: Path) -> None:
    from dagster import DagsterInstance
    from dagster._core.run_coordinator import QueuedRunCoordinator

    shutil.copy(PROJECT / "dagster.yaml", tmp_path)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_start_timeout_seconds + 15 < 120, "the queue moves again within two minutes"
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 2
        coordinator = instance.run_coordinator
        assert isinstance(coordinator, QueuedRunCoordinator)
        assert coordinator.dequeue_interval_seconds == 1
        assert not instance.telemetry_enabled


def test_extras() -> None:
    assert set(pyproject()["project"]["optional-dependencies"]) == {"postgres", "k8s", "redis", "fast", "dev"}


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    version = pyproject()["project"]["version"]
    headings = re.findall(r"^## \[([^]]+)\]", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert version in headings[1:] or version == "0.1.0"  # nothing has been released yet


def test_every_folder_of_tests_is_run() -> None:
    named = {Path(path).name for path in pyproject()["tool"]["pytest"]["ini_options"]["testpaths"]}
    with_tests = {path.parent.name for path in (PROJECT / "clearfacts_assets_tests").glob("*/test_*.py")}
    assert with_tests - named == set()


def test_the_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    linted = subprocess.run(
        [PROJECT / ".venv/bin/hadolint", "Dockerfile"], cwd=PROJECT, check=False, capture_output=True, text=True
    )
    assert (linted.stdout, linted.returncode) == ("", 0)


def test_the_image_has_a_command_and_no_entry_point() -> None:
    """Dagster's chart and run launcher give the container arguments only; an entry point would swallow them."""
    instructions = re.findall(r"^([A-Z]+) (.*)$", text("Dockerfile"), flags=re.MULTILINE)
    kinds = [kind for kind, _ in instructions]
    assert ("ENTRYPOINT" in kinds, kinds[-1]) == (False, "CMD")
    assert instructions[-1][1].startswith('["clearfacts", ')
    assert [user for kind, user in instructions if kind == "USER"] == ["10001:10001"]


def test_every_test_that_the_security_checks_name_exists() -> None:
    document = (PROJECT / "docs" / "security.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", document)
    assert len(named) > 40
    for file, test in named:
        source = (PROJECT / "clearfacts_assets_tests" / file).read_text("utf-8")
        assert f"def {test}(" in source, f"{file}::{test}"


def test_every_test_that_a_document_names_exists() -> None:
    """By file, by file and name, or by name. ``...`` at a name's end and ``*`` in a file's leave some out."""
    sources = {path: path.read_text("utf-8") for path in (PROJECT / "clearfacts_assets_tests").rglob("test_*.py")}
    tests = {path: set(re.findall(r"def (test_\w+)\(", source)) for path, source in sources.items()}
    missing, found = [], 0
    for document in documents():
        for piece in code(document.read_text("utf-8")):
            for file, name in re.findall(r"([\w/*]*\btest_[\w*]+\.py)(?:::(test_\w+))?", piece):
                there = [path for path in tests if path.match(file)]
                found += 1
                if not there or (name and not any(name in tests[path] for path in there)):
                    missing.append(f"{document.name}: {file}::{name}")
            for name, more in re.findall(r"(?<![\w/:*.])(test_\w+)\b(?!\.py|\*)(\.\.\.)?", piece):
                found += 1
                if not any(one == name or (more and one.startswith(name)) for each in tests.values() for one in each):
                    missing.append(f"{document.name}: {name}")
    assert missing == []
    assert found > 100


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def within(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_no_file_of_the_product_is_about_two_things() -> None:
    lines = {within(path): len(path.read_text("utf-8").splitlines()) for path in modules()}
    long = {name for name, count in lines.items() if count > MOST_LINES and not name.startswith(ONE_PIECE)}
    assert not long


def commands() -> set[str]:
    """Every function that is a command of ours, by its file and name."""
    from clearfacts_assets.cli.main import app

    found, waiting = set(), [app]
    while waiting:
        one = waiting.pop()
        waiting += [group.typer_instance for group in one.registered_groups if group.typer_instance]
        for command in one.registered_commands:
            callback = inspect.unwrap(command.callback) if command.callback else None
            if callback is not None:
                found.add(f"{callback.__module__.replace('.', '/')}.py {callback.__name__}")
    return {name.removeprefix("clearfacts_assets/") for name in found}


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(one.arg not in ("self", "cls") for one in named)


def test_no_function_takes_more_than_fits_into_a_head() -> None:
    many = {
        f"{within(path)} {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and parameters(node) > MOST_PARAMETERS
    }
    assert not many - commands()  # their parameters are their options, which typer reads one by one
    assert len(commands()) > 80  # they were found


def test_the_xpath_compiler_has_no_word_of_what_documents_are_about() -> None:
    words = re.compile(r"invoice|credit ?note|clearfacts(?!_assets)|peppol|\bubl\b|en ?16931|chargeback", re.IGNORECASE)
    found = {
        f"{path.name}: {line.strip()}"
        for path in (PACKAGE / "xpath_compiler").glob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if words.search(line)
    }
    assert found == set()
