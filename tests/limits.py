"""Writes docs/limits.md: every choice that the code marks as unsound or imprecise (make readme)."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "limits.md"
ROOTS = ("analyzer", "rules")

_WORD = re.compile(r"\b(UNSOUND|IMPRECISE)\b(:?)\s*")
_SENTENCE = re.compile(r"(?<=[.;])\s+")

HEAD = """\
# Known limits

Where kvmlint chose to be wrong rather than slow or silent. `make readme` writes this page from the
comments in the code; a test says when it is out of date. What a single rule doesn't see is under
*Known limits* in `kvmlint explain RULE`.
"""

KINDS = {
    "UNSOUND": "A real bug may be missed, or a path may be taken for impossible.",
    "IMPRECISE": "More, or less, is assumed than the code says: a report may be wrong, or missing.",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One marked choice; ``path`` is relative to the repository's root."""

    kind: str
    path: str
    text: str


def marks(path: str, text: str) -> Iterator[Mark]:
    """The marks in a file, in the order of its lines. 'UNSOUND: why' goes on to the end of its
    paragraph; a mark without a colon stands for the sentence that it is in."""
    for paragraph in _paragraphs(path, text):
        found = list(_WORD.finditer(paragraph))
        ends = [*(match.start() for match in found[1:]), len(paragraph)]
        for match, end in zip(found, ends, strict=False):
            if match[2]:
                said = paragraph[match.end() : end]
            else:
                said = next(s for s in _SENTENCE.split(paragraph) if match[1] in s)
                said = said.replace(f" ({match[1]})", "")
            yield Mark(match[1], path, said.strip())


def _paragraphs(path: str, text: str) -> list[str]:
    """Those of comments and docstrings, each as one line."""
    blocks = sorted([*_comments(path, text), *(_docstrings(text) if path.endswith(".py") else ())])
    return [" ".join(paragraph.split()) for _, block in blocks for paragraph in block.split("\n\n")]


def _comments(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Blocks of comments that begin in one column, with the number of their first line."""
    if path.endswith(".py"):
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        found = [(*t.start, t.string, t.line) for t in tokens if t.type == tokenize.COMMENT]
    else:
        lines = enumerate(text.splitlines(), start=1)
        found = [(n, 0, line, line) for n, line in lines if line.startswith("#")]
    first, last, column, words = 0, 0, 0, list[str]()
    for number, at, comment, line in found:
        alone = line.lstrip().startswith("#")
        if not (alone and number == last + 1 and at == column):
            yield first, "\n".join(words)
            first, column, words = number, at, []
        last = number
        words.append(comment.removeprefix("#").strip())
    yield first, "\n".join(words)


def _docstrings(text: str) -> Iterator[tuple[int, str]]:
    """Strings that are statements, with the number of their first line."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(words))):
                yield node.lineno, inspect.cleandoc(words)


def collect(root: Path) -> list[Mark]:
    """All marks in the sources below ``root``, in the order of their paths and lines."""
    files = sorted(
        file for top in ROOTS for file in (root / top).rglob("*") if file.suffix in (".py", ".toml")
    )
    return [
        mark
        for file in files
        for mark in marks(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8"))
    ]


def page(found: list[Mark]) -> str:
    """docs/limits.md. Lines have no numbers, so that other edits leave it alone."""
    parts = [HEAD]
    for kind, meaning in KINDS.items():
        parts.append(f"\n## {kind.capitalize()}\n\n{meaning}\n\n")
        parts += [f"- [{m.path}](../{m.path}): {m.text}\n" for m in found if m.kind == kind]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(collect(ROOT)), encoding="utf-8")
