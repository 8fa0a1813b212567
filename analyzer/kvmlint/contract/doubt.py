"""Why a hypercall's contract can't be relied on, in words for the user."""

from __future__ import annotations

import re
from collections import Counter

from kvmlint.explore.oracle import HypercallContract
from kvmlint.knowledge.model import World
from kvmlint.source import SourceError
from kvmlint.tree.tree import Tree


def doubt(tree: Tree, hypercall: str) -> str:
    """What is wrong with the EL2 code behind a hypercall whose handler was found and explored: a
    second handler, conflict markers, text that the parser didn't understand. '' when nothing is.

    IMPRECISE: what stands in a callee whose value nobody uses counts too.
    """
    handler = tree.knowledge.tables.worlds.handler_prefix + hypercall
    files = tree.files_handling(handler)
    if len(files) > 1:
        return f"it has two handlers, in {files[0]} and in {files[1]}"
    for path in files:
        try:
            unit = tree.unit(path, World.EL2)
        except SourceError as error:
            return f"{path}: {error}"
        variants = Counter(head.variant for head in unit.heads if head.name == handler)
        if variants and max(variants.values()) > 1:
            return f"it has two handlers in {path}"
    if not tree.conflicts and not any(unit.problems for unit in tree.parsed(World.EL2)):
        return ""
    for function, path in _below(tree, handler):
        unit = tree.unit(path, World.EL2)
        if path in tree.conflicts:
            return f"{path}:{tree.conflicts[path]}: a half-applied patch (conflict markers)"
        for problem in unit.problems:
            if problem.function == function:
                line = unit.file.line_of(problem.start)
                return f"{path}:{line}: {function}(): {problem.message}"
        if not any(head.name == function for head in unit.heads):
            return f"{path}: {function}() can't be told from the text around it"
    return ""


def _below(tree: Tree, function: str) -> list[tuple[str, str]]:
    """EL2 functions that a function calls, directly or not, itself included, with their files."""
    found: dict[str, str] = {}
    waiting = [function]
    while waiting:
        name = waiting.pop()
        path = tree.el2_file(name)
        if path is None or name in found:
            continue
        try:
            unit = tree.unit(path, World.EL2)
        except SourceError:
            continue
        found[name] = path
        for head in unit.heads:
            if head.name == name:
                waiting += sorted(unit.called(head))
    return list(found.items())


def why_assumed(tree: Tree, contract: HypercallContract, doubts: dict[str, str]) -> str:
    """Why a hypercall is assumed to be able to fail; '' when it isn't, or when the tables say how
    it behaves."""
    if not contract.assumed:
        return ""
    row = tree.knowledge.hypercall(contract.name)
    if row is not None and row.kind:
        return ""
    if contract.name in doubts:
        return doubts[contract.name]
    if not tree.has_el2:
        return "no EL2 code was found"
    handler = tree.knowledge.tables.worlds.handler_prefix + contract.name
    if not tree.files_handling(handler):
        for path in tree.knowledge.tables.worlds.handlers:
            if _names(tree, path, contract.name):
                return f"{path} names it, but has no function {handler}()"
        return f"EL2 has no function {handler}()"
    return "what its handler answers comes from code that wasn't seen or was given up"


def _names(tree: Tree, path: str, word: str) -> bool:
    try:
        data = tree.data(path)
    except SourceError:
        return False
    return re.search(rb"\b" + re.escape(word.encode()) + rb"\b", data) is not None
