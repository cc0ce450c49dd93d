"""How fast validation is, beside what one would use instead, in one run on the same documents.

    make bench-validation                 all of it, a few minutes
    make bench-validation ARGS=--quick    fewer repeats, no memory test

Times are CPU time of one document, the best of several repeats. What runs in worker processes is wall time. Numbers
depend on the machine; the ratios hardly do.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from lxml import etree
from saxonche import PySaxonProcessor

from clearfacts_assets.invoices.inspection import Inspector, Plan
from clearfacts_assets.invoices.model import Decision, DocumentType
from clearfacts_assets.invoices.rules import RuleOptions, build
from clearfacts_assets.invoices.rules._explainer import _schema
from clearfacts_assets.invoices.rules.ubl_xsd import _FILES, artefacts
from clearfacts_assets.invoices.ubl import parse
from clearfacts_assets.invoices.validation import Validator
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

JAVA = """
import java.io.*; import java.nio.file.*; import javax.xml.validation.*; import javax.xml.transform.stream.*;
import javax.xml.XMLConstants;
public class Xsd { public static void main(String[] a) throws Exception {
  var factory = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI);
  var schema = factory.newSchema(new File(a[0]));
  for (int i = 1; i < a.length; i++) {
    byte[] bytes = Files.readAllBytes(Path.of(a[i])); double best = 1e9;
    int n = Math.max(1, 4_000_000 / bytes.length);
    for (int round = 0; round < 12; round++) { long start = System.nanoTime();
      for (int k = 0; k < n; k++) schema.newValidator().validate(new StreamSource(new ByteArrayInputStream(bytes)));
      best = Math.min(best, (System.nanoTime() - start) / 1e6 / n); }
    System.out.println(best); } } }
"""


def milliseconds(work: Callable[[], object], repeats: int, rounds: int) -> float:
    """CPU time of one call, the best round."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(repeats):
            work()
        best = min(best, (time.process_time() - started) / repeats)
    return best * 1000


def engines() -> dict[str, Callable[[bytes], object]]:
    """All that runs in this process, by the name it has in the table."""
    bare_parser = etree.XMLParser(resolve_entities=False, no_network=True)
    bare_schema = etree.XMLSchema(etree.parse(str(INVOICE_XSD)))
    saxon = PySaxonProcessor(license=False)
    shipped = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_text=NORM.read_text("utf-8"))
    own = {layer: build(layer, RuleOptions()) for layer in LAYERS}
    stripped = build("en16931", RuleOptions(proofs=False))
    quick, slow = Inspector(Plan()), Inspector(Plan(options=RuleOptions(proofs=False)))
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


def measure(rounds: int) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    for name, engine in engines().items():
        figures[name] = {}
        for kind, content in DOCUMENTS.items():
            engine(content)
            few = 1 if (name, kind) in SLOW else rounds
            figures[name][kind] = milliseconds(lambda e=engine, c=content: e(c), REPEATS[kind], few)
    java = java_milliseconds()
    if java:
        figures["XSD, javax.xml.validation"] = java
    return figures


def java_milliseconds() -> dict[str, float]:
    """Xerces in a warm JDK, wall time; nothing where there is no JDK."""
    if not shutil.which("java"):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Xsd.java").write_text(JAVA)
        kinds = [kind for kind in DOCUMENTS if kind != "attachment"]
        for kind in kinds:
            (Path(folder) / kind).write_bytes(DOCUMENTS[kind])
        command = ["java", f"{folder}/Xsd.java", str(INVOICE_XSD), *(f"{folder}/{kind}" for kind in kinds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {}
    return dict(zip(kinds, map(float, done.stdout.split()), strict=True))


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


def throughput(documents: list[bytes], workers: int, **options: object) -> dict[str, float]:
    """With warm workers: documents a second of wall time, and for each second of the workers' CPU; memory; accepted."""
    with Validator(workers=workers, options=RuleOptions(**options)) as validator:  # type: ignore[arg-type]
        list(validator.validate_many((n, documents[n % len(documents)]) for n in range(400)))
        processes = [psutil.Process(pid) for pid in validator.worker_pids]
        before, started = sum(map(cpu, processes)), time.perf_counter()
        accepted = sum(
            report.decision is Decision.ACCEPT for _, report in validator.validate_many(enumerate(documents))
        )
        seconds, used = time.perf_counter() - started, sum(map(cpu, processes)) - before
        memory = max(process.memory_info().rss for process in processes) / MEBIBYTE
    return {"wall": len(documents) / seconds, "core": len(documents) / used, "memory": memory, "accepted": accepted}


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


LARGE = """
import sys
from pathlib import Path
from clearfacts_assets.invoices.validation import Validator
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


def table(figures: dict[str, dict[str, float]]) -> Iterator[str]:
    yield f"{'ms of CPU a document':32}" + "".join(f"{kind:>14}" for kind in DOCUMENTS)
    yield f"{'bytes':32}" + "".join(f"{len(content):14,}" for content in DOCUMENTS.values())
    for name, row in figures.items():
        cells = (f"{row[kind]:14,.3f}" if kind in row else f"{'–':>14}" for kind in DOCUMENTS)
        yield f"{name:32}" + "".join(cells)


def ratios(figures: dict[str, dict[str, float]]) -> Iterator[str]:
    for title, one, other in (
        ("XSD, ours : bare lxml", "XSD, bare lxml", "XSD, ours"),
        ("XSD, ours : xmlschema", "XSD, xmlschema", "XSD, ours"),
        ("XSD, ours : javax.xml.validation", "XSD, javax.xml.validation", "XSD, ours"),
        ("EN 16931, ours : as shipped", "EN 16931, saxonche as shipped", "EN 16931, ours"),
        ("pipeline : saxonche as shipped", "EN 16931, saxonche as shipped", "pipeline"),
        ("pipeline : without proofs", "pipeline without proofs", "pipeline"),
    ):
        if one in figures:
            cells = (
                f"{figures[one][k] / figures[other][k]:13.2f}x" if k in figures[one] else f"{'–':>14}"
                for k in DOCUMENTS
            )
            yield f"{title:32}" + "".join(cells)
    yield f"{'pipeline, documents/s and core':32}" + "".join(
        f"{1000 / figures['pipeline'][k]:14,.0f}" for k in DOCUMENTS
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="fewer repeats, no memory test")
    quick = arguments.parse_args().quick
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} at the start\n")
    figures = measure(2 if quick else 6)
    print("\n".join(table(figures)), "\n")
    print("\n".join(ratios(figures)), "\n")
    documents = day()
    heads = ("1 worker", "2 workers", "ratio", "a core-second", "MiB a worker")
    print(f"{'worker processes, documents/s':32}" + "".join(f"{head:>15}" for head in heads))
    for title, these, options in (
        ("small x 2,000", [DOCUMENTS["small"]] * 2000, {}),
        ("mixed day of 1,000", documents, {}),
        ("mixed day without proofs", documents, {"proofs": False}),
    ):
        one, two = (throughput(these, workers, **options) for workers in (1, 2))
        ratio, memory = two["wall"] / one["wall"], max(one["memory"], two["memory"])
        cells = f"{one['wall']:15,.0f}{two['wall']:15,.0f}{ratio:14.2f}x{one['core']:15,.0f}{memory:15,.0f}"
        print(f"{title:32}{cells}   ({one['accepted']:.0f} accepted)")
    if not quick:
        print(f"\na worker after 10,000 documents of the mixed day: {memory_after(10_000):,.0f} MiB")
        broken = DOCUMENTS["large"].replace(b'unitCode="C62"', b'unitCode="QQQ"')
        for title, content in (("without a finding", DOCUMENTS["large"]), ("wrong on every line", broken)):
            memory, seconds = large_memory(content)
            print(f"a 10,000-line invoice {title}: {memory:,.0f} MiB in all at the peak, {seconds:.1f} s")


if __name__ == "__main__":
    main()
