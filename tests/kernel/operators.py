"""Edits of one C function's text, described by what they do to statements.

A step takes a file's text and a function's name and returns the new text. Fragments that tell a
statement apart are short (a call, a condition), are looked for outside comments and strings, and
must match exactly once; anything else raises EditError, so that an edit can't quietly do nothing.
Code to insert is written without indentation; it gets that of the statement it is put next to.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Step = Callable[[str, str], str]
"""(text of the file, name of the function) -> new text of the file."""

_OPAQUE = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*'
    r"|^[ \t]*#(?:\\\n|[^\n])*",
    re.DOTALL | re.MULTILINE,
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_LABEL = re.compile(r"(?:case\b[^:;]*|[A-Za-z_]\w*)\s*:(?!:)")
_CLOSE = {"(": ")", "[": "]", "{": "}"}


class EditError(Exception):
    """An edit that doesn't fit the text."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of the text: [start, end), with those inside it. ``kind`` is 'block', 'label',
    'simple', or the word that it begins with ('if', 'for', the name of a loop macro, …)."""

    kind: str
    start: int
    end: int
    inside: tuple[Statement, ...] = ()


def masked(text: str) -> str:
    """The text with comments, strings and preprocessor lines blanked, character for character."""
    return _OPAQUE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _closing(text: str, at: int) -> int:
    """Just behind the bracket that closes the one at ``at``."""
    expected: list[str] = []
    for i in range(at, len(text)):
        if text[i] in _CLOSE:
            expected.append(_CLOSE[text[i]])
        elif expected and text[i] == expected[-1]:
            expected.pop()
            if not expected:
                return i + 1
    raise EditError("unbalanced brackets")


def _statement(text: str, at: int) -> Statement:
    at = _skip(text, at)
    if text[at] == "{":
        end = _closing(text, at)
        return Statement("block", at, end, tuple(_block(text, at + 1, end - 1)))
    if label := _LABEL.match(text, at):
        return Statement("label", at, label.end())
    word = _WORD.match(text, at)
    name = word[0] if word else ""
    after = _skip(text, word.end()) if word else at
    if name == "do":
        body = _statement(text, after)
        return Statement(name, at, text.index(";", body.end) + 1, (body,))
    if name in ("if", "for", "while", "switch"):
        body = _statement(text, _closing(text, after))
        other = _WORD.match(text, _skip(text, body.end))
        if name == "if" and other and other[0] == "else":
            orelse = _statement(text, other.end())
            return Statement(name, at, orelse.end, (body, orelse))
        return Statement(name, at, body.end, (body,))
    if name and name not in ("return", "goto") and text[after] == "(":
        end = _closing(text, after)
        follows = text[_skip(text, end)]
        if follows == "{" or follows.isalpha():  # a loop macro, scoped_guard()
            body = _statement(text, end)
            return Statement(name, at, body.end, (body,))
    end = at
    while text[end] != ";":
        end = _closing(text, end) if text[end] in _CLOSE else end + 1
    return Statement("simple", at, end + 1)


def _block(text: str, at: int, end: int) -> Iterator[Statement]:
    while (at := _skip(text, at)) < end:
        statement = _statement(text, at)
        yield statement
        at = statement.end


def body(text: str, function: str) -> Statement:
    """The outermost block of a function's definition."""
    hidden = masked(text)
    found: list[Statement] = []
    for match in re.finditer(rf"\b{re.escape(function)}\s*\(", hidden):
        at = _skip(hidden, _closing(hidden, match.end() - 1))
        if at < len(hidden) and hidden[at] == "{" and hidden[at - 1] == "\n":
            found.append(_statement(hidden, at))
    if len(found) != 1:
        raise EditError(f"{len(found)} definitions of {function}()")
    return found[0]


def _place(text: str, function: str, fragment: str) -> int:
    block = body(text, function)
    inside = masked(text)[block.start : block.end]
    if inside.count(fragment) != 1:
        raise EditError(f"{function}(): {fragment!r} occurs {inside.count(fragment)} times")
    return block.start + inside.index(fragment)


def _find(text: str, function: str, fragment: str) -> list[Statement]:
    """The innermost statement around a fragment, behind all those that it is in."""
    start = _place(text, function, fragment)
    end = start + len(fragment)
    chain = [body(text, function)]
    while True:
        inner = [s for s in chain[-1].inside if s.start <= start and end <= s.end]
        if not inner:
            return chain
        chain.extend(inner)


def _siblings(chain: list[Statement]) -> tuple[Statement, ...]:
    return chain[-2].inside if chain[-2].kind == "block" else ()


def _next(chain: list[Statement]) -> Statement:
    around = _siblings(chain)
    at = around.index(chain[-1]) + 1 if around else 0
    if not 0 < at < len(around):
        raise EditError("no statement follows")
    return around[at]


def _lines(text: str, start: int, end: int) -> tuple[int, int]:
    """[start, end) widened to whole lines when nothing but a comment is beside it."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    beside = text[end:last]
    if text[first:start].strip() or _OPAQUE.sub("", beside).strip():
        return start, end
    return first, last + 1


def _indent(text: str, at: int) -> str:
    first = text.rfind("\n", 0, at) + 1
    line = text[first:]
    return line[: len(line) - len(line.lstrip("\t"))]


def _code(code: str, indent: str) -> str:
    return textwrap.indent(textwrap.dedent(code).strip("\n") + "\n", indent)


def _cut(text: str, chain: list[Statement]) -> str:
    target = chain[-1]
    if not _siblings(chain):  # the only statement of an if or a loop
        return text[: target.start] + ";" + text[target.end :]
    start, end = _lines(text, target.start, target.end)
    return text[:start] + text[end:]


def _put(text: str, chain: list[Statement], code: str, after: bool) -> str:
    target = chain[-1]
    indent = "\t" if target.kind == "label" else _indent(text, target.start)
    if not _siblings(chain):
        old = text[target.start : target.end]
        lines = [old, _code(code, "").strip("\n")]
        block = "\n".join(lines if after else lines[::-1])
        return (
            text[: target.start] + "{\n" + _code(block, indent) + indent + "}" + text[target.end :]
        )
    start, end = _lines(text, target.start, target.end)
    at = end if after else start
    return text[:at] + _code(code, indent) + text[at:]


def delete(fragment: str) -> Step:
    """Deletes the statement."""
    return lambda text, function: _cut(text, _find(text, function, fragment))


def before(fragment: str, code: str) -> Step:
    """Inserts code above the statement."""
    return lambda text, function: _put(text, _find(text, function, fragment), code, after=False)


def after(fragment: str, code: str) -> Step:
    """Inserts code below the statement."""
    return lambda text, function: _put(text, _find(text, function, fragment), code, after=True)


def declare(code: str) -> Step:
    """Inserts a declaration at the start of the function."""

    def step(text: str, function: str) -> str:
        at = body(text, function).start + 1
        return text[:at] + "\n" + _code(code, "\t").rstrip("\n") + text[at:]

    return step


def replace(old: str, new: str) -> Step:
    """Replaces a fragment by other text; the rest of its line stays."""

    def step(text: str, function: str) -> str:
        at = _place(text, function, old)
        return text[:at] + new + text[at + len(old) :]

    return step


def instead(fragment: str, code: str) -> Step:
    """Replaces the statement by other code."""

    def step(text: str, function: str) -> str:
        chain = _find(text, function, fragment)
        target = chain[-1]
        indent = _indent(text, target.start)
        if _siblings(chain):
            start, end = _lines(text, target.start, target.end)
            return text[:start] + _code(code, indent) + text[end:]
        block = "{\n" + _code(code, indent) + indent + "}"
        return text[: target.start] + block + text[target.end :]

    return step


def move_above(fragment: str, other: str) -> Step:
    """Moves the statement above another one."""

    def step(text: str, function: str) -> str:
        chain = _find(text, function, fragment)
        code = _indent(text, chain[-1].start) + text[chain[-1].start : chain[-1].end]
        return before(other, code)(_cut(text, chain), function)

    return step


def bare(fragment: str) -> Step:
    """``x = f(…);`` becomes ``f(…);``."""

    def step(text: str, function: str) -> str:
        target = _find(text, function, fragment)[-1]
        old = text[target.start : target.end]
        new = re.sub(r"^[\w>.\-*]+\s*=\s*", "", old)
        if new == old or target.kind != "simple":
            raise EditError(f"{fragment!r} is in no assignment")
        return text[: target.start] + new + text[target.end :]

    return step


def unwrap(macro: str, fragment: str) -> Step:
    """``MACRO(x)`` around the fragment becomes ``x``."""

    def step(text: str, function: str) -> str:
        place = _place(text, function, fragment)
        at = masked(text).rfind(f"{macro}(", 0, place)
        start = at + len(macro)
        end = _closing(masked(text), start) if at >= 0 else 0
        if at < 0 or end <= place:
            raise EditError(f"{fragment!r} is in no {macro}()")
        return text[:at] + text[start + 1 : end - 1] + text[end:]

    return step


def drop_next(fragment: str) -> Step:
    """Deletes the statement that follows the statement (its check, most often)."""

    def step(text: str, function: str) -> str:
        chain = _find(text, function, fragment)
        return _cut(text, [*chain[:-1], _next(chain)])

    return step


def in_next(fragment: str, old: str, new: str) -> Step:
    """Replaces text in the statement that follows the statement: ``goto a;`` by ``goto b;``."""

    def step(text: str, function: str) -> str:
        check = _next(_find(text, function, fragment))
        part = text[check.start : check.end]
        if part.count(old) != 1:
            raise EditError(f"{old!r} occurs {part.count(old)} times behind {fragment!r}")
        return text[: check.start] + part.replace(old, new) + text[check.end :]

    return step


def everywhere(old: str, new: str) -> Step:
    """Replaces a fragment (a whole word, where it is one) at least once in the function."""
    word = r"\b" if old[0].isidentifier() else ""

    def step(text: str, function: str) -> str:
        block = body(text, function)
        hidden = masked(text)[block.start : block.end]
        places = [m.start() for m in re.finditer(word + re.escape(old) + r"(?!\w)", hidden)]
        if not places:
            raise EditError(f"{function}(): no {old!r}")
        for at in reversed(places):
            text = text[: block.start + at] + new + text[block.start + at + len(old) :]
        return text

    return step


def above(code: str) -> Step:
    """Puts code (a helper) above the function."""

    def step(text: str, function: str) -> str:
        hidden = masked(text)
        block = body(text, function)
        heads = [*re.finditer(r"[;}][ \t]*\n", hidden[: block.start])]
        at = heads[-1].end() if heads else 0
        while hidden[at].isspace():
            at += 1
        at = text.rfind("\n", 0, at) + 1
        return text[:at] + textwrap.dedent(code).strip("\n") + "\n\n" + text[at:]

    return step
