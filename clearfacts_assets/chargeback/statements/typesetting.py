"""From data to the bytes of a PDF, with typst: PDF/A-3a and PDF/UA-1, the same bytes for the same data.

Typst takes the templates of the package; a folder with files of the same names replaces some or all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from clearfacts_assets.chargeback.model import ChargebackError

TEMPLATES = Path(__file__).parent / "templates"
STAND_IN = "\u25a1"  # for a character that no font has
MOST_ROUNDS = 4  # of replacing characters: one finds all that are missing, and a stand-in is never missing
_MISSING = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_ESCAPE = re.compile(r"\\u\{([0-9a-fA-F]+)\}|\\(.)")


class TemplateFails(ChargebackError):
    """A template (or a logo beside it) cannot be used. The message is typst's, with line and column."""


@dataclass(frozen=True, slots=True)
class Typeset:
    """A PDF. ``stand_ins`` are the characters that no font has; the attachment has the true text."""

    pdf: bytes
    sha256: str
    stand_ins: str = ""


def our_fonts() -> Path:
    """The folder of the type that statements are set in: IBM Plex Sans."""
    return Path(str(files("fontpkg_ibm_plex_sans"))) / "files"


@dataclass
class TypstRenderer:
    """Sets statements. Makes its folder of templates once; keep one a process."""

    folder: Path
    templates: Path | None = None  # files that replace ours, and logos
    font_paths: tuple[Path, ...] = ()
    _fonts: Any = field(default=None, repr=False)
    _missing: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        import typst

        self.folder.mkdir(parents=True, exist_ok=True)
        for source in (TEMPLATES, *([self.templates] if self.templates else [])):
            for file in sorted(source.iterdir()):
                if file.is_file() and not file.name.startswith("."):
                    shutil.copy(file, self.folder / file.name)
        paths: list[Any] = [our_fonts(), *self.font_paths]
        self._fonts = typst.Fonts(include_system_fonts=False, font_paths=paths)

    @property
    def digest(self) -> str:
        """Of the templates and of typst: with another one the same data may give other bytes."""
        digest = hashlib.sha256(version("typst").encode())
        for file in sorted(self.folder.iterdir()):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()

    def set(self, data: Mapping[str, Any], lines: str) -> Typeset:
        """One statement; ``lines`` is the CSV that is attached. Raises TemplateFails."""
        text, found = json.dumps(data, ensure_ascii=False, sort_keys=True), ""
        moment = datetime.fromisoformat(data["issued"]).replace(tzinfo=UTC)
        for _ in range(MOST_ROUNDS):
            text, replaced = self._with_stand_ins(text)
            found += replaced
            pdf = self._compile(f"{data['kind']}.typ", text, lines, int(moment.timestamp()))
            if pdf is not None:
                return Typeset(pdf, hashlib.sha256(pdf).hexdigest(), "".join(sorted(set(found))))
        raise TemplateFails("characters are missing in every font: {missing}", missing="".join(sorted(self._missing)))

    def _with_stand_ins(self, text: str) -> tuple[str, str]:
        there = sorted(one for one in self._missing if one in text)
        for one in there:
            text = text.replace(one, STAND_IN)
        return text, "".join(there)

    def _compile(self, template: str, text: str, lines: str, moment: int) -> bytes | None:
        """None where characters were missing, which are known from then on."""
        import typst

        try:
            pdf = typst.compile(
                self.folder / template,
                root=self.folder,
                font_paths=self._fonts,
                ignore_system_fonts=True,
                sys_inputs={"data": _without_surrogates(text), "lines": _without_surrogates(lines)},
                pdf_standards=["a-3a", "ua-1"],
                timestamp=moment,
            )
        except typst.TypstError as error:
            missing = {_unescaped(one) for one in _MISSING.findall(error.diagnostic)}
            new = {character for one in missing for character in one if character != STAND_IN} - self._missing
            if not new:
                raise TemplateFails(
                    "{template}: {diagnostic}", template=template, diagnostic=error.diagnostic
                ) from None
            self._missing |= new
            return None
        assert isinstance(pdf, bytes)  # noqa: S101 - without an output file typst gives bytes
        return pdf


def _without_surrogates(text: str) -> str:
    """Lone surrogates, which are no characters, written as ``\\ud800``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
