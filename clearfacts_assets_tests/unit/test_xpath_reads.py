"""What rules read of what is repeated is told from their XPath, and never too little."""

from __future__ import annotations

import pytest

from clearfacts_assets.xpath_compiler.reads import Reads
from clearfacts_assets.xpath_compiler.xpath import NotUnderstood, parse

LINE = "cac:InvoiceLine"


def read(context: str, test: str = "true()") -> tuple[set[str], set[str]]:
    """Names that are looked at, and names whose value is."""
    reads = Reads(frozenset({LINE}))
    at = reads.pattern(parse(context))
    reads.expression(parse(test), at, {}, value=False)
    return reads.names, reads.values


@pytest.mark.parametrize(
    ("context", "test", "names", "values"),
    [
        ("/ubl:Invoice", "exists(cbc:ID)", set(), set()),
        ("/ubl:Invoice", "cac:TaxTotal/xs:decimal(cbc:TaxAmount) = 1", set(), set()),
        ("/ubl:Invoice/cac:TaxTotal", "normalize-space(cbc:TaxAmount) != ''", set(), set()),
        ("/ubl:Invoice", "exists(cac:InvoiceLine)", {LINE}, set()),
        ("/ubl:Invoice", "cac:InvoiceLine/cbc:ID = '1'", {LINE, "cbc:ID"}, {"cbc:ID"}),
        ("/ubl:Invoice", "count(//cbc:Note) = 1", {"cbc:Note"}, set()),
        ("/ubl:Invoice", "sum(//(cac:A|cac:B)/xs:decimal(cbc:C)) = 1", {"cac:A", "cac:B", "cbc:C"}, {"cbc:C"}),
        ("/ubl:Invoice", "count(//cac:A[cbc:B = 'x']) = 1", {"cac:A", "cbc:B"}, {"cbc:B"}),
        ("/ubl:Invoice", "every $a in //cac:A satisfies exists($a/cbc:B)", {"cac:A", "cbc:B"}, set()),
        ("/ubl:Invoice", "every $a in //cac:A satisfies $a = 'x'", {"cac:A"}, {"cac:A"}),
        ("cac:A[cbc:B = true()]", "exists(cbc:C)", {"cac:A", "cbc:B", "cbc:C"}, {"cbc:B"}),
        ("cbc:A | cbc:B", "normalize-space(.) = ''", {"cbc:A", "cbc:B"}, {"cbc:A", "cbc:B"}),
        ("cac:A", "../cbc:B = 1", {"cac:A", "cbc:B"}, {"cbc:B"}),
        ("cac:A", "@scheme = 'x'", {"cac:A"}, set()),
        ("cac:A", "exists(ancestor::cac:B/cbc:C)", {"cac:A", "cac:B", "cbc:C"}, set()),
        ("//*[ends-with(name(), 'Amount')]", "string-length(.) < 3", {"*Amount"}, {"*Amount"}),
    ],
)
def test_of_lines_is_read_what_the_expression_names(context: str, test: str, names: set[str], values: set[str]) -> None:
    assert read(context, test) == (names, values)


@pytest.mark.parametrize(
    ("context", "test"),
    [
        ("/ubl:Invoice", "not(//@scheme)"),
        ("/ubl:Invoice", "normalize-space(.) = ''"),
        ("/ubl:Invoice", "exists(cac:InvoiceLine/*)"),
        ("cac:A", "normalize-space(..) = ''"),
        ("cac:A", "position() = 1"),
        ("//*[contains(name(), 'Amount')]", "true()"),
    ],
)
def test_what_may_read_any_element_is_not_understood_and_then_nothing_is_left_out(context: str, test: str) -> None:
    with pytest.raises(NotUnderstood):
        read(context, test)
