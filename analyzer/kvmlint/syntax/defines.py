"""The ``#define``s of a file, of every branch."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kvmlint.syntax.ast import Define
from kvmlint.syntax.mask import Directive

_HEAD = re.compile(r"([^\W\d]\w*)(\(([^()]*)\))?")


def read_defines(directives: Iterable[Directive]) -> tuple[Define, ...]:
    """Function-like and object-like macros, in file order. ``Define.start`` is the '#'.
    A GNU named variadic ('args...') is called '...', like the standard one."""
    found: list[Define] = []
    for directive in directives:
        if directive.keyword != "define":
            continue
        head = _HEAD.match(directive.text)
        if head is None:
            continue
        parameters: tuple[str, ...] | None = None
        if head.group(2) is not None:
            names = [part.strip() for part in head.group(3).split(",")]
            parameters = tuple("..." if name.endswith("...") else name for name in names if name)
        body = directive.text[head.end() :].strip()
        found.append(Define(head.group(1), parameters, body, directive.start))
    return tuple(found)
