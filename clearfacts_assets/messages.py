"""What is told to people, as a text with names in it and their values: so it can be told in another language too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """An English text with ``{names}`` as ``str.format`` has them, and what stands there: a value, or a message again.

    Without values the text stands as it is, braces too.
    """

    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text.format_map(self.values) if self.values else self.text

    def as_sentence(self) -> Message:
        """With a capital at its beginning and a full stop."""
        stop = "" if self.text.endswith(".") else "."
        return Message(f"{self.text[:1].upper()}{self.text[1:]}{stop}", self.values)

    def rewritten(self, rewrite: Callable[[str], str]) -> Message:
        """The same with another text, and so each message that stands in it."""
        values = {
            name: value.rewritten(rewrite) if isinstance(value, Message | Messages) else value
            for name, value in self.values.items()
        }
        return Message(rewrite(self.text), values)


class Messages(tuple[Message, ...]):
    """Several, told one behind the other."""

    def __str__(self) -> str:
        return "; ".join(map(str, self))

    def rewritten(self, rewrite: Callable[[str], str]) -> Messages:
        """Each of them."""
        return Messages(one.rewritten(rewrite) for one in self)


class ExplainedError(Exception):
    """An error whose text has parts, which ``said`` keeps: ``ExplainedError("there is no charge {id}", id=7)``.

    Another such error in it is kept as what it says.
    """

    said: Message

    def __init__(self, text: str, /, **values: object) -> None:
        parts = {name: one.said if isinstance(one, ExplainedError) else one for name, one in values.items()}
        self.said = Message(text, parts)
        super().__init__(str(self.said))
