"""The Python that is written for often used XPath says what the XPath says, and asks no more than it must."""

from __future__ import annotations

import pytest
from lxml import etree

from clearfacts_assets.xpath_compiler import runtime
from clearfacts_assets.xpath_compiler.elements import ElementIndex
from clearfacts_assets.xpath_compiler.translation import Translation
from clearfacts_assets.xpath_compiler.xpath import parse

NAMESPACE = "urn:t"


def written(test: str) -> tuple[str, dict[str, str]]:
    translation = Translation({"t": NAMESPACE})
    return translation.truth(parse(test), "x", {}), {name: tag for tag, name in translation.tags.items()}


def holds(test: str, document: str, at: str = "a") -> bool:
    """Whether it holds of the first element of that name, by what is written."""
    python, tags = written(test)
    index = ElementIndex(etree.fromstring(f'<r xmlns="{NAMESPACE}">{document}</r>'))
    x = index.all(f"{{{NAMESPACE}}}{at}")[0]
    return eval(python, {**vars(runtime), **tags, "x": x, "index": index})


@pytest.mark.parametrize("codes", [" A B10 C ", " A  C ", "A B C", "A ", " ", "", " A", "  "])
@pytest.mark.parametrize("text", ["A", "B10", "B", " C ", "", "A C", "A\tB10", "AB", "10", "\u00a0A", "'"])
def test_a_list_of_codes_holds_what_stands_between_its_blanks(codes, text):
    test = f"(not(contains(normalize-space(.), ' ')) and contains('{codes}', concat(' ', normalize-space(.), ' ')))"
    value = runtime.normalize(text)
    assert holds(test, f"<a>{text}</a>") == (" " not in value and f" {value} " in codes)


def test_a_list_of_codes_is_a_set_and_not_a_text_that_is_searched():
    listed = "not(contains(normalize-space(@u), ' ')) and contains(' B A ', concat(' ', normalize-space(@u), ' '))"
    assert written(listed)[0] == "(normalize(x.attributes.get('u', '')) in {'A', 'B'})"
    other = "not(contains(normalize-space(@u), ' ')) and contains(' B A ', concat(' ', normalize-space(@v), ' '))"
    assert "'v'" in written(other)[0]


@pytest.mark.parametrize(
    ("test", "document", "expected"),
    [
        ("t:b = 'X'", "<a><b>Y</b><b>X</b></a>", True),
        ("t:b = 'X'", "<a><b>Y</b></a>", False),
        ("t:b = 'X'", "<a/>", False),
        ("'X' = t:b", "<a><b>X</b></a>", True),
        ("t:b/xs:decimal(.) = 2", "<a><b>1</b><b>2.00</b></a>", True),
        ("t:b/xs:decimal(.) = xs:decimal(t:c)", "<a><b>1</b><c>1.0</c></a>", True),
        ("t:b/xs:decimal(.) = xs:decimal(t:c)", "<a><b>1</b></a>", False),
        ("t:b = true()", "<a><b>1</b></a>", True),
        ("t:b = false()", "<a><b>true</b></a>", False),
        ("t:b = t:c", "<a><b>1</b><b>2</b><c>2</c></a>", True),
        ("../t:a = 'X'", "<a>X</a>", True),
        ("../../t:r/t:a = 'X'", "<a>X</a>", True),
        ("exists(..)", "<a>X</a>", True),
        ("../t:z/xs:decimal(t:b) = 2", "<a/><z><b>2</b></z>", True),
    ],
)
def test_a_comparison_is_of_every_value_with_every_one(test, document, expected):
    assert holds(test, document) is expected
