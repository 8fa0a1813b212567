"""The tables: what kernel functions and hypercalls do, as data that users can extend.

``builtin()`` is what comes with kvmlint; ``extend()`` adds the [knowledge] table of a user's
.kvmlint.toml, which has the same schema as the TOML files in this folder.
"""

from __future__ import annotations

import gc
from functools import cache
from pathlib import Path

from kvmlint.knowledge.error import KnowledgeError
from kvmlint.knowledge.load import Builder
from kvmlint.knowledge.model import Tables
from kvmlint.knowledge.query import Knowledge, chain
from kvmlint.knowledge.reader import Document, parse

__all__ = ["Knowledge", "KnowledgeError", "builtin", "extend"]


@cache
def builtin() -> Knowledge:
    """The tables that come with kvmlint. Raises KnowledgeError only if those files are broken."""
    builder = Builder(Tables())
    digest = ""
    collecting = gc.isenabled()
    gc.disable()  # all that is made here is kept: a collection would only walk it, for 2 ms
    try:
        for path in sorted(Path(__file__).parent.glob("*.toml")):
            text = path.read_text(encoding="utf-8")
            builder.read(parse(Document(text, path.name)))
            digest = chain(digest, text)
        return Knowledge(builder.tables(), digest)
    finally:
        if collecting:
            gc.enable()


def extend(base: Knowledge, text: str, path: str) -> Knowledge:
    """``base`` and the [knowledge] table of ``text`` on top of it; ``path`` is for messages.
    Raises KnowledgeError."""
    top = parse(Document(text, path)).table()
    if "knowledge" not in top:
        return base
    builder = Builder(base.tables)
    builder.read(top["knowledge"])
    return Knowledge(builder.tables(), chain(base.digest, text))
