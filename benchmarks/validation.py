"""How fast validation is, beside what one would use instead, on the same documents and by turns.

    make bench-validation                 all of it, ten minutes
    make bench-validation ARGS=--quick    fewer turns, no memory test

Times are CPU time of one document, a JDK's of its whole process; what worker processes do together is told by the clock
on the wall. All engines take a turn before any takes its next one; ratios are the median of the turns' ratios, with
quartiles. Numbers depend on the machine; the ratios hardly do.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from interleaved import Spread, Turn, by_turns, ratio, timed, wall
from lxml import etree
from saxonche import PySaxonProcessor

from clearfacts_assets.invoices.model import Decision, DocumentType
from clearfacts_assets.invoices.validation.engine import Validator
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.invoices.validation.rules import RuleOptions, build
from clearfacts_assets.invoices.validation.rules._explainer import _schema
from clearfacts_assets.invoices.validation.rules.ubl_xsd import _FILES, artefacts
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets_tests.fixtures.ubl_documents import document
from clearfacts_assets_tests.fixtures.ubl_mutants import mutants

MEBIBYTE = 2**20
LAYERS = ("ubl_xsd", "en16931", "peppol_bis3", "belgium", "attachments", "amounts")
INVOICE_XSD = artefacts() / _FILES[DocumentType.INVOICE]
NORM = artefacts() / "EN16931-UBL-validation.xslt"
PDF = ("invoice.pdf", "application/pdf", b"%PDF-1.7 " + bytes(range(256)) * 26_000)  # 6.6 MB

DOCUMENTS = {
    "small": document(),
    "medium": document(lines=100),
    "large": document(lines=10_000),
    "attachment": document(attachments=(PDF,)),
}
REPEATS = {"small": 100, "medium": 10, "large": 1, "attachment": 3}
JDK_REPEATS = {"small": 3000, "medium": 200, "large": 3}  # its clock ticks ten milliseconds
TURNS = {"small": 15, "medium": 11, "large": 3, "attachment": 5}

JAVA = """
import java.io.*; import java.lang.management.*; import java.nio.file.*; import java.util.*;
import javax.xml.XMLConstants; import javax.xml.transform.stream.*; import javax.xml.validation.*;
public class Xsd { public static void main(String[] a) throws Exception {
  var factory = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI);
  var schema = factory.newSchema(new File(a[0]));
  var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  var asked = new BufferedReader(new InputStreamReader(System.in));
  for (String line; (line = asked.readLine()) != null; ) {
    var words = line.split(" ");
    byte[] bytes = Files.readAllBytes(Path.of(words[0])); int times = Integer.parseInt(words[1]);
    long start = system.getProcessCpuTime();
    for (int k = 0; k < times; k++) schema.newValidator().validate(new StreamSource(new ByteArrayInputStream(bytes)));
    System.out.println((system.getProcessCpuTime() - start) / 1e9 / times); System.out.flush(); } } }
"""


def engines() -> dict[str, Callable[[bytes], object]]:
    """All that runs in this process, by the name it has in the table."""
    bare_parser = etree.XMLParser(resolve_entities=False, no_network=True)
    bare_schema = etree.XMLSchema(etree.parse(str(INVOICE_XSD)))
    saxon = PySaxonProcessor(license=False)
    shipped = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_text=NORM.read_text("utf-8"))
    own = {layer: build(layer, RuleOptions()) for layer in LAYERS}
    stripped = build("en16931", RuleOptions(proofs=False))
    quick, slow = Inspector(ValidationPlan()), Inspector(ValidationPlan(options=RuleOptions(proofs=False)))
    explainer = _schema(INVOICE_XSD)

    def as_shipped(content: bytes) -> object:
        text = etree.tostring(etree.fromstring(content, bare_parser), encoding="unicode")
        return shipped.transform_to_string(xdm_node=saxon.parse_xml(xml_text=text))

    def layer(name: str) -> Callable[[bytes], object]:
        return lambda content: own[name].check(parse(content))

    return {
        "parse, lxml": lambda content: etree.fromstring(content, bare_parser),
        "parse, ours (checked)": parse,
        "XSD, bare lxml": lambda content: bare_schema.validate(etree.fromstring(content, bare_parser)),
        "XSD, ours": layer("ubl_xsd"),
        "XSD, xmlschema": lambda content: explainer.is_valid(etree.fromstring(content, bare_parser)),
        "EN 16931, saxonche as shipped": as_shipped,
        "EN 16931, stripped on Saxon": lambda content: stripped.check(parse(content)),
        "EN 16931, ours": layer("en16931"),
        "Peppol BIS 3": layer("peppol_bis3"),
        "Belgium": layer("belgium"),
        "attachments": layer("attachments"),
        "amounts": layer("amounts"),
        "pipeline without proofs": slow.inspect,
        "pipeline": quick.inspect,
    }


SLOW = {("XSD, xmlschema", "large"), ("XSD, xmlschema", "attachment")}
JDK = "XSD, javax.xml.validation"

Figures = dict[str, dict[str, list[float]]]  # by engine and kind of document: seconds of each turn


def measure(quick: bool) -> Figures:
    figures: Figures = {}
    known = engines()
    with java() as jdk:
        for kind, content in DOCUMENTS.items():
            works: dict[str, Turn] = {
                name: timed(lambda e=engine, c=content: e(c), repeats=REPEATS[kind])
                for name, engine in known.items()
                if not (quick and (name, kind) in SLOW)
            }
            if jdk is not None and kind != "attachment":
                works[JDK] = lambda k=kind: jdk(k)
            for name, seconds in by_turns(works, 3 if quick else TURNS[kind]).items():
                figures.setdefault(name, {})[kind] = seconds
    return figures


@contextmanager
def java() -> Iterator[Callable[[str], float] | None]:
    """Xerces in a JDK that was warmed: seconds of CPU for one document of a kind. None where there is no JDK."""
    if not shutil.which("java"):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Xsd.java").write_text(JAVA)
        for kind, content in DOCUMENTS.items():
            (Path(folder) / kind).write_bytes(content)
        command = ["java", f"{folder}/Xsd.java", str(INVOICE_XSD)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None

            def ask(kind: str, times: int = 0) -> float:
                process.stdin.write(f"{folder}/{kind} {times or JDK_REPEATS[kind]}\n")
                process.stdin.flush()
                return float(process.stdout.readline())

            ask("small", 8000)  # by then it is compiled
            yield ask
            process.stdin.close()


def day(count: int = 1000) -> list[bytes]:
    """A mixed day: mostly small, some of a page or ten, 5 % credit notes, 5 % with something wrong."""
    wrong = list(mutants(5, count // 20))
    made = [
        document(number=f"D-{n}", lines=(2, 2, 3, 5, 8, 2, 12, 3, 40, 2)[n % 10], credit_note=n % 20 == 7)
        for n in range(count - len(wrong))
    ]
    for place, content in enumerate(wrong):
        made.insert(place * 20, content)
    return made


def throughput(title: str, documents: list[bytes], turns: int, **options: object) -> str:
    """One worker and two, both warm, by turns: documents a second of wall time, and of the workers' CPU; memory."""
    rules = RuleOptions(**options)  # type: ignore[arg-type]
    with Validator(workers=1, options=rules) as one, Validator(workers=2, options=rules) as two:
        core, accepted = [], 0
        for validator in (one, two):
            list(validator.validate_many(enumerate(documents[:100])))  # they start when they are needed

        def validate(validator: Validator) -> None:
            nonlocal accepted
            processes = [psutil.Process(pid) for pid in validator.worker_pids]
            before = sum(map(cpu, processes))
            reports = validator.validate_many(enumerate(documents))
            accepted = sum(report.decision is Decision.ACCEPT for _, report in reports)
            if validator is one:
                core.append(len(documents) / (sum(map(cpu, processes)) - before))

        works = {name: timed(lambda v=v: validate(v), clock=wall) for name, v in (("one", one), ("two", two))}
        seconds = by_turns(works, turns)
        pids = (*one.worker_pids, *two.worker_pids)
        memory = max(psutil.Process(pid).memory_info().rss for pid in pids) / MEBIBYTE
    clock = [Spread.of([len(documents) / each for each in column]) for column in seconds.values()]
    cells = (*(f"{each:,.0f}" for each in (*clock, Spread.of(core[1:]))), f"{ratio(*seconds.values()):.2f}")
    return f"{title:28}" + "".join(f"{cell:>22}" for cell in cells) + f"{memory:8,.0f} MiB   ({accepted} accepted)"


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


LARGE = """
import sys
from pathlib import Path
from clearfacts_assets.invoices.validation.engine import Validator
content = Path(sys.argv[1]).read_bytes()
with Validator(workers=1) as validator:
    report = validator.validate(content)
    # Not ru_maxrss: it counts what the process was that started this one.
    peaks = [Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]
             for pid in ("self", validator.worker_pids[0])]
print(sum(map(int, peaks)) / 1024, report.duration)
"""


def memory_after(count: int) -> float:
    """MiB of one worker after ``count`` documents of the mixed day."""
    documents = day()
    with Validator(workers=1) as validator:
        for _ in validator.validate_many((n, documents[n % len(documents)]) for n in range(count)):
            pass
        return float(psutil.Process(validator.worker_pids[0]).memory_info().rss / MEBIBYTE)


def large_memory(content: bytes) -> tuple[float, float]:
    """MiB at their peak of a worker and its parent, which do nothing else, for one document; and its seconds."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        done = subprocess.run([sys.executable, "-c", LARGE, file.name], capture_output=True, text=True, check=True)
    memory, seconds = map(float, done.stdout.split())
    return memory, seconds


def longest() -> bytes:
    """20,000 lines with notes, 16 MB in all."""
    text = document(lines=20_000)
    note = f"</cbc:ID><cbc:Note>{'n' * ((16_000_000 - len(text)) // 20_000 - 22)}</cbc:Note><cbc:InvoicedQuantity"
    return text.replace(b"</cbc:ID><cbc:InvoicedQuantity", note.encode())


def longest_ones() -> Iterator[tuple[str, bytes]]:
    """The longest with nothing wrong, a line, all lines, and a sum, for which Saxon has to see all lines."""
    sound, unit, amount = longest(), b'unitCode="C62"', b'<cbc:LineExtensionAmount currencyID="EUR">'
    yield "sound", sound
    yield "one line wrong", sound.replace(unit, b'unitCode="QQQ"', 1)
    yield "all lines wrong", sound.replace(unit, b'unitCode="QQQ"')
    yield "a sum wrong", sound.replace(amount, amount + b"9", 2)  # the first is the total's


def table(figures: Figures) -> Iterator[str]:
    yield f"{'ms of CPU a document':32}" + "".join(f"{kind:>26}" for kind in DOCUMENTS)
    yield f"{'bytes':32}" + "".join(f"{len(content):26,}" for content in DOCUMENTS.values())
    for name, row in figures.items():
        spreads = {kind: Spread.of([1000 * one for one in seconds]) for kind, seconds in row.items()}
        cells = (f"{spreads[kind]:.4g}" if kind in spreads else "-" for kind in DOCUMENTS)
        yield f"{name:32}" + "".join(f"{cell:>26}" for cell in cells)


def ratios(figures: Figures) -> Iterator[str]:
    yield "what ours takes of the CPU time of the other one"
    for title, ours, other in (
        ("XSD : bare lxml", "XSD, ours", "XSD, bare lxml"),
        ("XSD : xmlschema", "XSD, ours", "XSD, xmlschema"),
        ("XSD : javax.xml.validation", "XSD, ours", JDK),
        ("EN 16931 : as shipped", "EN 16931, ours", "EN 16931, saxonche as shipped"),
        ("all : saxonche as shipped", "pipeline", "EN 16931, saxonche as shipped"),
        ("all : without proofs", "pipeline", "pipeline without proofs"),
        ("all : XSD, bare lxml", "pipeline", "XSD, bare lxml"),
    ):
        pairs = {
            kind: (figures[ours][kind], figures[other][kind])
            for kind in DOCUMENTS
            if kind in figures.get(other, {}) and kind in figures[ours]
        }
        cells = (f"{ratio(*pairs[kind]):.2f}" if kind in pairs else "-" for kind in DOCUMENTS)
        yield f"{title:32}" + "".join(f"{cell:>26}" for cell in cells)
    each = (Spread.of([1 / one for one in figures["pipeline"][kind]]) for kind in DOCUMENTS)
    yield f"{'all, documents/s and core':32}" + "".join(f"{f'{one:,.0f}':>26}" for one in each)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="fewer turns, no memory test")
    quick = arguments.parse_args().quick
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} at the start\n")
    figures = measure(quick)
    print("\n".join(table(figures)), "\n")
    print("\n".join(ratios(figures)), "\n")
    documents = day()
    heads = ("1 worker", "2 workers", "1, a second of CPU", "two : one")
    print(f"{'worker processes, docs/s':28}" + "".join(f"{head:>22}" for head in heads))
    for title, these, options in (
        ("small x 1,000", [DOCUMENTS["small"]] * 1000, {}),
        ("mixed day of 1,000", documents, {}),
        ("mixed day without proofs", documents, {"proofs": False}),
    ):
        print(throughput(title, these, 2 if quick else 5, **options), flush=True)
    if not quick:
        print(f"\na worker after 10,000 documents of the mixed day: {memory_after(10_000):,.0f} MiB")
        broken = DOCUMENTS["large"].replace(b'unitCode="C62"', b'unitCode="QQQ"')
        for title, content in (("without a finding", DOCUMENTS["large"]), ("wrong on every line", broken)):
            memory, seconds = large_memory(content)
            print(f"a 10,000-line invoice {title}: {memory:,.0f} MiB in all at the peak, {seconds:.1f} s")
        for title, content in longest_ones():
            memory, seconds = large_memory(content)
            print(f"20,000 lines and 16 MB, {title}: {memory:,.0f} MiB in all at the peak, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
