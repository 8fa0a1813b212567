"""One parsed file: its functions in every preprocessor variant, lowered on demand.

``parse`` looks at the text only (functions are delimited by braces); the C parser is loaded and
called for a body when somebody asks for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kvmlint.source import SourceFile
from kvmlint.syntax.ast import Block, Define, Function
from kvmlint.syntax.defines import read_defines
from kvmlint.syntax.dialect import Dialect
from kvmlint.syntax.expressions import DEEPEST, TooDeep
from kvmlint.syntax.heads import Broken, RawHead, find_heads
from kvmlint.syntax.loops import loops_defined
from kvmlint.syntax.mask import mask
from kvmlint.syntax.selections import selections_defined
from kvmlint.syntax.types import TYPE_WORDS, parameters, returns
from kvmlint.syntax.variants import MOST_VARIANTS, apply, variants_of

__all__ = ["DEEPEST", "Dialect", "FunctionHead", "Problem", "TooDeep", "Unit", "parse"]

_WORD = re.compile(rb"[A-Za-z_]\w*")
_CALLED = re.compile(rb"\b([A-Za-z_]\w*+)\s*\(")
_TYPEDEF = re.compile(rb"\btypedef\b[^;{}()]*?([A-Za-z_]\w*)\s*;|\}\s*(\w+_t)\s*;")
_FLAT = bytes.maketrans(b"\n\t", b"  ")
_OTHER_KEYWORDS = """
if else while do for switch case default return goto break continue sizeof static extern register
inline typedef asm __asm__ volatile _Generic _Alignof alignof
"""
_KEYWORDS = TYPE_WORDS | frozenset(_OTHER_KEYWORDS.split())


@dataclass(frozen=True, slots=True)
class FunctionHead:
    """One definition as one variant shows it. ``start``..``end``: all of it; ``name_start``: its
    name (byte offsets)."""

    name: str
    name_start: int
    start: int
    end: int
    static: bool
    variant: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A region that isn't analysed, or not as written. ``function`` is '' outside functions."""

    start: int
    end: int
    function: str
    message: str


class Unit:
    """A file, its functions and its macros. Make it with ``parse``."""

    file: SourceFile
    heads: tuple[FunctionHead, ...]
    defines: tuple[Define, ...]

    def __init__(self, file: SourceFile, dialect: Dialect, world_defines: frozenset[str]) -> None:
        masked = mask(file.data)
        self.file = file
        self.defines = read_defines(masked.directives)
        loops = loops_defined(self.defines, dialect.loops)
        self.dialect = dialect.with_loops(loops).with_selections(selections_defined(self.defines))
        self._raw: dict[FunctionHead, RawHead] = {}
        self._texts: list[bytes] = []
        self._lowered: dict[FunctionHead, Function] = {}
        self._called: dict[FunctionHead, frozenset[str]] = {}
        self._problems: list[Problem] = []
        self._typedefs: frozenset[bytes] | None = None
        variants = variants_of(masked.directives, len(file.data), world_defines)
        seen: dict[tuple[int, int, int], list[bytes]] = {}
        broken: list[tuple[Broken, int]] = []
        for number, variant in enumerate(variants.variants):
            text = apply(masked.text, variant)
            self._texts.append(text)
            raws, bad = find_heads(text, self.dialect)
            broken.extend((one, number) for one in bad)
            for raw in raws:
                # A branch that is left out has lost its line ends.
                shown = text[raw.start : raw.end].translate(_FLAT)
                before = seen.setdefault((raw.start, raw.end, raw.name_start), [])
                if shown in before:
                    continue
                before.append(shown)
                head = FunctionHead(
                    raw.name, raw.name_start, raw.start, raw.end, raw.static, number
                )
                self._raw[head] = raw
        self.heads = tuple(sorted(self._raw, key=lambda one: (one.start, one.variant)))
        for one, number in broken:
            if not self._shown(one, self._texts[number]):
                message = "unbalanced braces"
                self._problems.append(Problem(one.start, one.end, one.name, message))
        for start, end in _joined(variants.uncovered, masked.text):
            message = f"code under #if beyond the limit of {MOST_VARIANTS} variants"
            self._problems.append(Problem(start, end, "", message))

    def _shown(self, broken: Broken, text: bytes) -> bool:
        """Whether other variants show all the text of a region that is broken in this one."""
        covering = [
            (head, self._texts[head.variant])
            for head in self.heads
            if head.start < broken.end and broken.start < head.end
        ]
        for found in _WORD.finditer(text, broken.start, broken.end):
            place = found.start()
            if not any(
                head.start <= place < head.end and other[place] == text[place]
                for head, other in covering
            ):
                return False
        return bool(covering)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems of the file, and of the functions lowered so far; in file order."""
        found = sorted(set(self._problems), key=lambda one: (one.start, one.end, one.message))
        return tuple(found)

    def lower(self, head: FunctionHead) -> Function:
        """The function with its body; lowered once. Raises TooDeep. What the parser doesn't
        understand is in ``problems`` afterwards, and missing from the body."""
        done = self._lowered.get(head)
        if done is not None:
            return done
        # The parser costs a process 37 ms: only those who lower pay for it.
        from kvmlint.syntax.lower import lower_body

        raw = self._raw[head]
        text = self._texts[head.variant]
        body = lower_body(
            self.file.data, text, raw.body, raw.end, self.dialect, self._typedef_names()
        )
        for start, end in body.errors:
            self._problems.append(Problem(start, end, head.name, "not understood"))
        function = self._function(head, raw, text, body.block)
        self._lowered[head] = function
        return function

    def _function(self, head: FunctionHead, raw: RawHead, text: bytes, body: Block) -> Function:
        return Function(
            start=head.start,
            end=head.end,
            name=head.name,
            name_start=head.name_start,
            returns=returns(text, raw, self.dialect),
            parameters=parameters(text, raw, self.dialect),
            static=head.static,
            variant=head.variant,
            body=body,
        )

    def _typedef_names(self) -> frozenset[bytes]:
        if self._typedefs is None:
            text = self._texts[0]
            found = _TYPEDEF.findall(text) if b"typedef" in text else []
            self._typedefs = frozenset(one or other for one, other in found)
        return self._typedefs

    def text(self, head: FunctionHead) -> bytes:
        """The function's visible text: comments, string contents and directives are blank."""
        return self._texts[head.variant][head.start : head.end]

    def called(self, head: FunctionHead) -> frozenset[str]:
        """Names followed by '(' in the body, keywords aside, and those that a macro chooses.
        Lexical and cheap: declarators and macros count too."""
        known = self._called.get(head)
        if known is None:
            text = self._texts[head.variant]
            found = set(_CALLED.findall(text, self._raw[head].body, head.end))
            known = frozenset(name.decode() for name in found) - _KEYWORDS
            for macro in known & self.dialect.selections.keys():
                chosen = re.findall(rb"\b%s\s*\(\s*(\w+)\s*\)" % macro.encode(), self.text(head))
                names = (self.dialect.selections[macro].names(name.decode()) for name in chosen)
                known = known.union(*names)
            self._called[head] = known
        return known

    def mentioning(self, name: str) -> frozenset[str]:
        """The functions in whose visible text an identifier stands, other than as a field, or that
        call it through a macro that makes its name."""
        found: set[str] = set()
        if self.dialect.selections:
            found |= {head.name for head in self.heads if name in self.called(head)}
        if name.encode() not in self.file.data:
            return frozenset(found)
        word = re.compile(rb"(?<![\w.])(?<!->)%s\b" % re.escape(name.encode()))
        for variant, text in enumerate(self._texts):
            places = [one.start() for one in word.finditer(text)]
            for head in self.heads if places else ():
                if head.variant == variant and any(head.start <= at < head.end for at in places):
                    found.add(head.name)
        return frozenset(found)

    def identifiers(self, head: FunctionHead) -> frozenset[str]:
        """All identifiers and keywords in the function's visible text."""
        text = self._texts[head.variant]
        return frozenset(name.decode() for name in set(_WORD.findall(text, head.start, head.end)))


def _joined(regions: tuple[tuple[int, int], ...], text: bytes) -> list[tuple[int, int]]:
    """Regions with nothing but directives and blanks between them become one."""
    found: list[tuple[int, int]] = []
    for start, end in regions:
        if found and not text[found[-1][1] : start].strip():
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def parse(file: SourceFile, dialect: Dialect, world_defines: frozenset[str] = frozenset()) -> Unit:
    """Reads a file; never fails, whatever the bytes. ``world_defines``: which of
    ``__KVM_NVHE_HYPERVISOR__`` and ``__KVM_VHE_HYPERVISOR__`` are defined (none: the host)."""
    return Unit(file, dialect, world_defines)
