"""Fixtures: C files that state in comments what kvmlint must say of them, and nothing else.

    /* expect: ID */                  a finding of rule ID on this line
    /* expect: A, expect: B */        several; also 'expect: A, B'
    /* expect@-1: ID */               on the line above; @+2: two lines below
    /* expect-note: "part of text" */ a step or related place on this line says so; also with @

A reason may follow after ' -- '. Anything else after 'expect:' is an error, so that a misspelt
expectation can't pass for none. ``fixture-path: arch/arm64/kvm/x.c`` in a comment tells which path
a lone file is analysed under, ``fixture-level: note`` and ``fixture-precision: low`` which
findings it is about (default: those that users see by default).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kvmlint.diagnostic import Diagnostic, Notification, Precision, Severity

if TYPE_CHECKING:
    from kvmlint.rule import RuleClass

# Strings and character constants are matched so that a '/*' in one starts no comment.
_TOKEN = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(?P<comment>/\*.*?\*/|//[^\n]*)', re.DOTALL
)
_DIRECTIVE = re.compile(r"(?<![\w-])expect(?P<note>-note)?(?:@(?P<shift>[+-]\d+))?\s*:[ \t]*")
_WORD = re.compile(r"(?<![\w-])expect[\w-]*(?:@[^\s:]*)?\s*:")
_ID = re.compile(r"(?!expect\b)[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![\w-])")
_QUOTED = re.compile(r'"([^"\n]+)"')
_END = re.compile(r"\s*(?:--|\*/|\n|$)")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_HEADER = re.compile(r"\bfixture-(?P<key>[a-z]+):\s*(?P<value>[^\s*]+)")
_FUNCTION = re.compile(r"^(?!\s)[^\n;={}#/]*?\b(?P<name>\w+)\((?:[^;{}]*)\)\s*\n\{", re.MULTILINE)


class FixtureError(Exception):
    """An expectation that can't be read; the text names file and line."""


@dataclass(frozen=True, slots=True, order=True)
class Expectation:
    """A finding of ``rule``, or with ``note`` a place whose message holds that text."""

    path: str
    line: int
    rule: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a fixture and the 1-based lines that it takes."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Fixture:
    """One unit that is analysed by itself: a small tree, or a lone file in ``files``."""

    root: Path
    files: tuple[Path, ...]
    tree: bool

    def __str__(self) -> str:
        parts = (self.root if self.tree else self.files[0]).parts
        return "/".join(parts[parts.index("fixtures") + 1 :] if "fixtures" in parts else parts)


def fixtures(folder: Path) -> Iterator[Fixture]:
    """Those below ``folder``, sorted: a folder with arch/ in it is a tree, other .c files lone."""
    if (folder / "arch").is_dir():
        files = (*folder.rglob("*.c"), *folder.rglob("*.h"), *folder.rglob("*.S"))
        yield Fixture(folder, tuple(sorted(files)), tree=True)
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from fixtures(entry)
        elif entry.suffix == ".c":
            yield Fixture(folder, (entry,), tree=False)


def expectations(path: str, text: str) -> list[Expectation]:
    """What the comments of one file expect. Raises FixtureError."""
    found: list[Expectation] = []
    for token in _TOKEN.finditer(text):
        comment = token["comment"]
        if comment is None:
            continue
        at = 0
        while word := _WORD.search(comment, at):
            line = text.count("\n", 0, token.start() + word.start()) + 1
            items, at = _read(comment, word.start(), f"{path}:{line}")
            found.extend(Expectation(path, line + shift, rule, note) for shift, rule, note in items)
    return sorted(found)


def _read(comment: str, at: int, place: str) -> tuple[list[tuple[int, str, str]], int]:
    """The expectations from ``at`` on, as (line shift, rule, note), and where they end."""
    items: list[tuple[int, str, str]] = []
    directive: re.Match[str] | None = None
    while True:
        if new := _DIRECTIVE.match(comment, at):
            directive, at = new, new.end()
        if directive is None:
            break
        value = (_QUOTED if directive["note"] else _ID).match(comment, at)
        if value is None:
            break
        shift = int(directive["shift"] or 0)
        items.append((shift, "", value[1]) if directive["note"] else (shift, value[0], ""))
        at = value.end()
        if _END.match(comment, at):
            return items, at
        comma = _COMMA.match(comment, at)
        if comma is None:
            break
        at = comma.end()
    rest = comment[at:].split("\n")[0].removesuffix("*/").strip()
    raise FixtureError(f"{place}: can't read this expectation: {rest!r}")


def header(text: str, key: str) -> str:
    """The value of ``fixture-KEY:`` in a comment of ``text``, or ''."""
    for token in _TOKEN.finditer(text):
        for setting in _HEADER.finditer(token["comment"] or ""):
            if setting["key"] == key:
                return setting["value"]
    return ""


def functions(text: str) -> list[Function]:
    """Functions in kernel layout (head at column 1, braces on lines of their own)."""
    found: list[Function] = []
    for match in _FUNCTION.finditer(text):
        end = text.find("\n}", match.end())
        first = text.count("\n", 0, match.start()) + 1
        found.append(Function(match["name"], first, text.count("\n", 0, end + 1) + 1))
    return found


def misnamed(path: str, text: str) -> list[str]:
    """Functions whose name contradicts their expectations, as readable lines.

    ``_bad`` and ``FP_`` expect a finding, ``_ok`` and ``FN_`` none; FP_ and FN_ state the wrong
    answer that kvmlint gives today, and must say why in a comment above them or inside.
    """
    lines = text.split("\n")
    expected = [item for item in expectations(path, text) if item.rule]
    complaints: list[str] = []
    for function in functions(text):
        name, place = function.name, f"{path}:{function.first}: {function.name}"
        hit = any(function.first <= item.line <= function.last for item in expected)
        if (name.endswith("_bad") or name.startswith("FP_")) and not hit:
            complaints.append(f"{place} must expect a finding")
        if (name.endswith("_ok") or name.startswith("FN_")) and hit:
            complaints.append(f"{place} must not expect a finding")
        if name.startswith(("FP_", "FN_")):
            above = "\n".join(lines[max(function.first - 3, 0) : function.last])
            words = [t["comment"] for t in _TOKEN.finditer(above) if t["comment"]]
            if not any(" -- " in word or "expect" not in word for word in words):
                complaints.append(f"{place} must say why kvmlint is wrong here")
    return complaints


def mismatches(expected: Iterable[Expectation], diagnostics: Iterable[Diagnostic]) -> list[str]:
    """Where findings and expectations differ, one readable line each; [] when they agree.

    Findings are compared as a multiset of (path, line, rule); each expected note must be part of
    the message of a step, related place or EL2 error on its line.
    """
    expected, diagnostics = list(expected), list(diagnostics)
    wanted = Counter((e.path, e.line, e.rule) for e in expected if e.rule)
    got = Counter((d.span.path, d.span.line, d.rule) for d in diagnostics)
    said = {(d.span.path, d.span.line, d.rule): d.message for d in diagnostics}
    lines = [
        (path, line, f"expected {rule}{_times(n)}, not reported")
        for (path, line, rule), n in (wanted - got).items()
    ]
    lines += [
        (*key[:2], f"unexpected {key[2]}{_times(n)}: {said[key]}")
        for key, n in (got - wanted).items()
    ]
    places: dict[tuple[str, int], set[str]] = {}
    for d in diagnostics:
        errors = (e.where for e in d.errnos if e.where is not None)
        for note in (*d.steps, *d.related, *errors):
            places.setdefault((note.span.path, note.span.line), set()).add(note.message)
    for e in expected:
        there = sorted(places.get((e.path, e.line), ()))
        if e.note and not any(e.note in message for message in there):
            instead = "; ".join(map(repr, there)) or "nothing"
            lines.append((e.path, e.line, f"expected a note with {e.note!r}, there is {instead}"))
    return [f"{path}:{line}: {text}" for path, line, text in sorted(lines)]


def _times(number: int) -> str:
    return f" {number} times" if number > 1 else ""


def run(fixture: Fixture, rules: Sequence[RuleClass]) -> list[str]:
    """Analyses a fixture with ``rules``; what is wrong, one readable line each.

    A function that kvmlint gave up counts as wrong too. Raises FixtureError.
    """
    from kvmlint.runner import Options, check

    texts = {file: file.read_text(encoding="utf-8") for file in fixture.files}
    said = "\n".join(texts.values())
    options = Options(
        tree=str(fixture.root) if fixture.tree else None,
        select=frozenset(),
        ignore=frozenset(),
        min_level=Severity(header(said, "level") or Severity.WARNING.value),
        min_precision=Precision(header(said, "precision") or Precision.MEDIUM.value),
        jobs=1,
    )
    if fixture.tree:
        names = {file: file.relative_to(fixture.root).as_posix() for file in fixture.files}
        result = check([str(fixture.root)], options, rules)
    else:
        (file,) = fixture.files
        names = {file: header(said, "path") or file.name}
        result = check([], options, rules, (names[file], file.read_bytes()))
    expected = [e for file, text in texts.items() for e in expectations(names[file], text)]
    return mismatches(expected, result.diagnostics) + [_gave_up(n) for n in result.notifications]


def _gave_up(n: Notification) -> str:
    return f"{n.path}:{n.span.line if n.span else 1}: not analysed: {n.function} {n.message}"
