"""xmlschema's schemas are built once a machine and kept in a folder that is ours alone."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clearfacts_assets.invoices.validation.rules import _explainer

SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="a" type="xs:int"/></xs:schema>"""


@pytest.fixture(scope="module")
def small() -> Any:
    """Built of it: what is asked here is how often, and a build takes a third of a second."""
    import xmlschema  # here, for each run of the tests reads this file

    return xmlschema.XMLSchema10(SCHEMA, use_meta=False)


@pytest.fixture
def schema_file(tmp_path: Path) -> Path:
    file = tmp_path / "small.xsd"
    file.write_text(SCHEMA)
    return file


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Any) -> list[Path]:
    """Each file that a schema was built of, with a machine's folder of temporary files of the test's own."""
    files: list[Path] = []

    def noted(file: Path) -> Any:
        files.append(file)
        time.sleep(0.05)  # long enough for the others to come
        return small

    monkeypatch.setattr(_explainer, "_built", noted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return files


def fresh(file: Path) -> Any:
    """As another process would ask."""
    return _explainer._schema.__wrapped__(file)


def test_of_several_that_want_a_schema_at_once_one_builds_it(schema_file: Path, built: list[Path]) -> None:
    with ThreadPoolExecutor(4) as pool:
        schemas = list(pool.map(fresh, [schema_file] * 4))
    assert built == [schema_file]
    assert [schema.is_valid("<a>1</a>") for schema in schemas] == [True] * 4
    assert [schema.is_valid("<a>x</a>") for schema in schemas] == [False] * 4


def test_an_installation_in_another_folder_reads_the_same_schema(schema_file: Path, built: list[Path]) -> None:
    fresh(schema_file)
    elsewhere = schema_file.parent / "elsewhere"
    elsewhere.mkdir()
    assert fresh(schema_file.rename(elsewhere / schema_file.name)).is_valid("<a>1</a>")
    assert len(built) == 1


def test_a_kept_schema_that_cannot_be_read_is_built_anew(schema_file: Path, built: list[Path]) -> None:
    fresh(schema_file)
    [kept] = schema_file.parent.glob("clearfacts-schemas-*/*.pickle")
    kept.write_bytes(b"half a pickle")
    assert fresh(schema_file).is_valid("<a>1</a>")
    assert fresh(schema_file).is_valid("<a>1</a>")
    assert len(built) == 2


def test_nothing_is_read_from_a_folder_that_others_may_write_to(schema_file: Path, built: list[Path]) -> None:
    fresh(schema_file)
    [folder] = schema_file.parent.glob("clearfacts-schemas-*")
    folder.chmod(0o777)
    fresh(schema_file)
    assert len(built) == 2
