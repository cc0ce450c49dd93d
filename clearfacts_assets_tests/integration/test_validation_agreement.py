"""We say what the official artefacts say: on real documents, and on thousands of seeded mutants.

``CLEARFACTS_MUTANTS=2000`` runs as many; an ordinary test run is content with fewer.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree
from saxonche import PySaxonApiError, PySaxonProcessor

from clearfacts_assets.invoices.model import Decision
from clearfacts_assets.invoices.validation.custom_rules import CustomRuleSet
from clearfacts_assets.invoices.validation.elements import ElementIndex
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.invoices.validation.releases import recognise
from clearfacts_assets.invoices.validation.rules import CustomRules, RuleOptions, build
from clearfacts_assets.invoices.validation.rules.en16931 import ROOTS, En16931
from clearfacts_assets.invoices.validation.rules.ubl_xsd import artefacts
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets.xpath_compiler.prover import Prover
from clearfacts_assets_tests.fixtures.ubl_documents import document
from clearfacts_assets_tests.fixtures.ubl_mutants import mutants, originals

MUTANTS = int(os.environ.get("CLEARFACTS_MUTANTS", "300"))
SEED = int(os.environ.get("CLEARFACTS_SEED", "20261121"))
SVRL = "{http://purl.oclc.org/dsdl/svrl}"
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "ubl"
RULES = REAL.parent / "rules"
ERROR = Counter({("XSLT-ERROR", "fatal"): 1})
FLAGS = {"error": "fatal", "warning": "warning"}


class Official:
    """CEN's artefact exactly as it is shipped, on Saxon, and nothing of ours."""

    def __init__(self, content: bytes | None = None) -> None:
        self._processor = PySaxonProcessor(license=False)
        artefact = (content or (artefacts() / "EN16931-UBL-validation.xslt").read_bytes()).decode("utf-8")
        self._sheet = self._processor.new_xslt30_processor().compile_stylesheet(stylesheet_text=artefact)
        self._said: dict[bytes, list[tuple[str, str, str]] | None] = {}

    def failed(self, content: bytes, *, places: bool = False) -> Counter[tuple[str, ...]]:
        """How often each rule failed, with its flag, or where; ERROR where the artefact itself breaks."""
        if content not in self._said:
            self._said[content] = self._asked(content)
        said = self._said[content]
        if said is None:
            return ERROR
        return Counter((rule, plain(location) if places else flag) for rule, flag, location in said)

    def _asked(self, content: bytes) -> list[tuple[str, str, str]] | None:
        text = etree.tostring(etree.fromstring(content), encoding="unicode")
        try:
            svrl = self._sheet.transform_to_string(xdm_node=self._processor.parse_xml(xml_text=text))
        except PySaxonApiError:
            return None
        root = etree.fromstring(svrl.encode(), etree.XMLParser(huge_tree=True))
        failed = root.iter(f"{SVRL}failed-assert")
        return [(each.get("id"), each.get("flag"), each.get("location")) for each in failed]


def plain(location: str) -> str:
    """An official location without namespaces, every step numbered: ``/Invoice[1]/InvoiceLine[2]``."""
    return re.sub(r"\*:(\w+)\[namespace-uri\(\)='[^']*'\]", r"\1", location)


def numbered(location: str) -> str:
    """One of ours in the same form."""
    steps = (step.rpartition(":")[2] for step in location.lstrip("/").split("/"))
    return "".join(f"/{step}" if step.endswith("]") else f"/{step}[1]" for step in steps)


@pytest.fixture(scope="module")
def official() -> Official:
    return Official()


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return Inspector(ValidationPlan(layers=("en16931",)))


def ours(inspector: Inspector, content: bytes) -> Counter[tuple[str, str]]:
    return Counter((each.rule, FLAGS[each.severity.value]) for each in inspector.inspect(content).findings)


def differences(artefact: bytes, inspector: Inspector, count: int) -> list[int]:
    """The mutants on which the engine and this artefact, as it is shipped, do not say the same."""
    official = Official(artefact)
    numbered_mutants = enumerate(mutants(SEED + 5, count))
    return [number for number, content in numbered_mutants if ours(inspector, content) != official.failed(content)]


def official_files(layer: str) -> list[Path]:
    """Official files of a layer's rules: CEN's as installed, what the setting names, ../shared's."""
    named = os.environ.get("CLEARFACTS_OFFICIAL_RULES", "")
    files = [artefacts() / "EN16931-UBL-validation.xslt"]
    for folder in (RULES, *([Path(named)] if named else [])):
        files += [path for path in sorted(folder.glob("*")) if path.suffix in (".sch", ".xslt", ".xsl")]
    return [path for path in files if recognise(path.read_bytes()).layer == layer]


@pytest.mark.parametrize("layer", ["en16931", "peppol_bis3"])
def test_the_rules_that_run_say_what_official_files_say(layer):
    """On each upgrade: the norm's proofs, and mock-einvoice, against CEN's and OpenPeppol's files of that version."""
    files = official_files(layer)
    if not files:  # of OpenPeppol's, which may not be passed on
        pytest.skip(f"no official rules of {layer}: copy them into {RULES}, or set CLEARFACTS_OFFICIAL_RULES")
    for path in files:
        rules = CustomRules(path, hashlib.sha256(path.read_bytes()).hexdigest())
        official_rules, built_in = CustomRuleSet(layer, rules), build(layer, RuleOptions())
        for number, content in enumerate(mutants(SEED + 6, MUTANTS)):
            found, expected = (
                {(each.rule, each.severity) for each in rule_set.check(parse(content))}
                for rule_set in (built_in, official_rules)
            )
            assert found == expected, f"{path.name}: mutant {number} of seed {SEED + 6}"


def test_every_mutant_gets_the_official_findings(official, inspector):
    seen: Counter[str] = Counter()
    for number, content in enumerate(mutants(SEED, MUTANTS)):
        expected, found = official.failed(content), ours(inspector, content)
        assert found == expected, f"mutant {number} of seed {SEED}"
        if number % 10 == 0 and expected != ERROR:
            places = Counter((each.rule, numbered(each.location)) for each in inspector.inspect(content).findings)
            assert places == official.failed(content, places=True), f"places in mutant {number} of seed {SEED}"
        seen["broken" if expected else "sound"] += 1
        seen["raises"] += expected == ERROR
    assert min(seen["broken"], seen["sound"], seen["raises"]) > MUTANTS / 50  # or the mutants prove nothing
    print(f"\nEN 16931: {MUTANTS} mutants, {dict(seen)}: identical")  # noqa: T201


def test_a_long_document_shown_to_saxon_in_parts_gets_the_findings_of_the_whole():
    """Each with its place, its words and its order; here every document is long, and few lines are a part."""
    whole, in_parts = En16931(in_parts=sys.maxsize), En16931(in_parts=0, part=1)
    bases = [document(lines=9), document(lines=9, credit_note=True), *originals()]
    wrong = document(lines=9).replace(b'unitCode="C62"', b'unitCode="QQQ"')
    assert len(in_parts.check(parse(wrong))) == 9
    for number, content in enumerate([wrong, *mutants(SEED + 7, MUTANTS // 4, bases)]):
        assert in_parts.check(parse(content)) == whole.check(parse(content)), f"mutant {number} of seed {SEED + 7}"
    assert in_parts.parted > MUTANTS / 10
    print(f"\n{in_parts.parted} documents in parts: identical")  # noqa: T201


def test_what_is_proved_is_never_wrong_and_most_sound_documents_are_proved(official):
    prover = Prover((artefacts() / "EN16931-UBL-validation.xslt").read_bytes(), ROOTS)
    assert prover.asserts == 979
    proved: Counter[tuple[bool, bool]] = Counter()
    for content in [*originals(), *mutants(SEED, MUTANTS)]:
        sound = not official.failed(content)
        proves = prover.proves(ElementIndex(parse(content).root))
        assert sound or not proves
        proved[sound, proves] += 1
    assert proved[True, True] > 20 * proved[True, False]
    print(f"\nproved {proved[True, True]} of {proved[True, True] + proved[True, False]} sound documents")  # noqa: T201


@pytest.mark.parametrize(
    ("element", "rules"), [("PriceAmount", []), ("TaxExclusiveAmount", ["BR-DEC-12", "UBL-DT-01"])]
)
def test_a_price_may_have_more_than_two_decimals_and_is_proved_so_and_an_amount_may_not(official, element, rules):
    prover = Prover((artefacts() / "EN16931-UBL-validation.xslt").read_bytes(), ROOTS)
    content = re.sub(rb"(<cbc:%b [^>]*>\d+\.\d\d)<" % element.encode(), rb"\g<1>00<", document())
    assert content != document()
    assert set(official.failed(content)) == {(rule, "fatal") for rule in rules}
    assert prover.proves(ElementIndex(parse(content).root)) == (not rules)


def test_peppol_s_gates_change_no_finding():
    """Against mock-einvoice as it is shipped: its own parser, its own tree, every rule asked."""
    from mockeinvoice import rules as shipped
    from mockeinvoice import ubl as their_ubl

    rule_set = build("peppol_bis3", RuleOptions())
    bases = [content for content in originals() if b"selfbilling" not in content]
    broken = 0
    for number, content in enumerate([*bases, *mutants(SEED + 2, MUTANTS, bases)]):
        found = {(each.rule, each.location) for each in rule_set.check(parse(content))}
        expected = set()
        for each in shipped.run(None, "peppol", their_ubl.tree(content)):
            if "could not be computed" in each.text:  # the official file raises one error for the document
                expected.add(("XSLT-ERROR", ""))
            else:
                expected.add((each.code, each.path))
        assert found == expected, f"mutant {number} of seed {SEED + 2}"
        broken += bool(expected)
    assert broken > MUTANTS / 10


def rewritten() -> dict[str, bytes]:
    """Documents that another program wrote: ours, as mock-einvoice writes them."""
    from mockeinvoice import ubl as their_ubl

    return {f"rewritten {number}": their_ubl.write(their_ubl.parse(each)[0]) for number, each in enumerate(originals())}


@pytest.fixture(scope="module", params=["rewritten", "real"])
def others_documents(request: pytest.FixtureRequest) -> dict[str, bytes]:
    """Documents of others. The norm's own examples are not ours to ship: shown as skipped where they are absent."""
    if request.param == "rewritten":
        return rewritten()
    if not REAL.is_dir():
        pytest.skip(f"the norm's example invoices are not in {REAL}: copy ubl/examples of eInvoicing-EN16931 there")
    documents = {path.name: path.read_bytes() for path in sorted(REAL.glob("*.[xX][mM][lL]"))}
    assert len(documents) >= 18
    return documents


def test_documents_of_others_get_the_official_findings(official, inspector, others_documents):
    assert not set(others_documents.values()) & set(originals())
    assert len(others_documents) >= 11
    for name, content in others_documents.items():
        assert ours(inspector, content) == official.failed(content), name
    print(f"\n{len(others_documents)} documents of others: identical")  # noqa: T201


def test_mutants_of_documents_of_others_get_the_official_findings(official, inspector, others_documents):
    for number, content in enumerate(mutants(SEED + 3, MUTANTS // 3, list(others_documents.values()))):
        assert ours(inspector, content) == official.failed(content), f"mutant {number} of seed {SEED + 3}"


def test_a_prover_that_understands_nothing_leaves_everything_to_saxon():
    from clearfacts_assets.xpath_compiler.xpath import NotUnderstood

    artefact = (artefacts() / "EN16931-UBL-validation.xslt").read_bytes()
    for old, new in (
        (b"normalize-space(cbc:ID) != ''", b"format-number(cbc:ID, '0') != ''"),
        (b'mode="M11" select="@*|*"', b'mode="M11" select="*"'),
        (b"<svrl:fired-rule", b'<xsl:variable name="v" select="1"/><svrl:fired-rule'),
    ):
        assert old in artefact
        with pytest.raises(NotUnderstood):
            Prover(artefact.replace(old, new), ROOTS)


def test_with_and_without_proofs_the_report_is_the_same():
    plain, quick = (Inspector(ValidationPlan(options=RuleOptions(proofs=proofs))) for proofs in (False, True))
    for content in [document(), *mutants(SEED + 4, 30)]:
        first, second = plain.inspect(content), quick.inspect(content)
        assert (first.decision, first.findings, first.versions) == (second.decision, second.findings, second.versions)
    assert quick.inspect(document()).decision is Decision.ACCEPT
