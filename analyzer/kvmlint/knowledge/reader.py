"""A cursor over parsed TOML that knows where it stands, so that every complaint names its key."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn, TypeVar

from kvmlint.knowledge.error import Key, KnowledgeError, dotted, locate, suggest

E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file: its text and the name that messages show."""

    text: str
    path: str


@dataclass(slots=True)
class Reader:
    """One value of a document. All reading methods raise KnowledgeError. Not frozen, because
    thousands are made at every start and frozen ones take three times as long to make."""

    document: Document
    key: Key
    value: object

    def fail(self, message: str, *more: str | int) -> NoReturn:
        key = (*self.key, *more)
        line = locate(self.document.text, key)
        raise KnowledgeError(self.document.path, line, dotted(key), message)

    def table(self, allowed: Collection[str] | None = None) -> dict[str, Reader]:
        """The value as a table; ``allowed`` are its keys, None for any."""
        if not isinstance(self.value, dict):
            self.fail("must be a table")
        if allowed is not None:
            for name in self.value:
                if name not in allowed:
                    self.fail(f"unknown key '{name}'{suggest(name, allowed)}", name)
        document, key = self.document, self.key
        return {name: Reader(document, (*key, name), value) for name, value in self.value.items()}

    def rows(self) -> Iterator[Reader]:
        """The value as an array of rows; a single row is an array of one."""
        if isinstance(self.value, dict | str):
            yield self
            return
        if not isinstance(self.value, list):
            self.fail("must be a row or an array of rows")
        for index, value in enumerate(self.value):
            yield Reader(self.document, (*self.key, index), value)

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.fail("must be a string")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            self.fail("must be true or false")
        return self.value

    def number(self, low: int = 0) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < low:
            self.fail(f"must be a number, {low} or more")
        return self.value

    def numbers(self, low: int = 0) -> tuple[int, ...]:
        if not isinstance(self.value, list):
            self.fail("must be an array of numbers")
        return tuple(
            Reader(self.document, (*self.key, index), value).number(low)
            for index, value in enumerate(self.value)
        )

    def words(self) -> tuple[str, ...]:
        """Names: an array of strings, or one string with blanks between them."""
        if isinstance(self.value, str):
            return tuple(self.value.split())
        if not isinstance(self.value, list):
            self.fail("must be a string of names or an array of strings")
        return tuple(
            word
            for index, value in enumerate(self.value)
            for word in Reader(self.document, (*self.key, index), value).text().split()
        )

    def choice(self, kind: type[E]) -> E:
        """One of an Enum's values."""
        word = self.text()
        try:
            return kind(word)
        except ValueError:
            values = [str(member.value) for member in kind]
            self.fail(f"'{word}' is not one of {', '.join(values)}{suggest(word, values)}")


def parse(document: Document) -> Reader:
    """The document's top table. Raises KnowledgeError for text that isn't TOML."""
    try:
        return Reader(document, (), tomllib.loads(document.text))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        line = 0
        if "(at line " in message:
            line = int(message.split("(at line ")[1].split(",")[0])
        elif "at end of document" in message:
            line = len(document.text.splitlines())
        raise KnowledgeError(document.path, line, "", f"not valid TOML: {message}") from error
    except (ValueError, RecursionError):  # a number of 5,000 digits, 5,000 brackets
        why = "not TOML that kvmlint can read: a number too long, or arrays too deep"
        raise KnowledgeError(document.path, 0, "", why) from None
