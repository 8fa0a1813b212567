"""Who defines and who calls what among a tree's host files and headers, by their text alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from kvmlint.knowledge.model import EntryPoint, World
from kvmlint.source import SourceError
from kvmlint.trace import Trace
from kvmlint.tree.extent import headers, host_files
from kvmlint.tree.tree import Tree

Site: TypeAlias = tuple[str, str]
"""A function: the path of its file, and its name."""


@dataclass(slots=True)
class HostIndex:
    """Calls between functions. ``calls`` maps a function to the names it calls, ``issues`` to the
    hypercalls it issues, ``public`` a name to the files that define it without ``static``,
    ``inline`` to the headers that define it."""

    calls: dict[Site, frozenset[str]] = field(default_factory=dict)
    issues: dict[Site, frozenset[str]] = field(default_factory=dict)
    public: dict[str, list[str]] = field(default_factory=dict)
    inline: dict[str, list[str]] = field(default_factory=dict)
    trace: Trace = field(default_factory=Trace)
    _callers: dict[str, list[Site]] = field(default_factory=dict)

    def resolve(self, path: str, name: str) -> str | None:
        """The file whose definition a call of ``name`` in ``path`` reaches; None when it can't be
        seen, or when several files define it (which one is linked isn't known)."""
        if (path, name) in self.calls:
            return path
        self.trace.asks("resolve", path, name)
        return self._elsewhere(name)

    def callers(self, path: str, name: str) -> list[Site]:
        """The functions that call a function."""
        self.trace.asks("callers", path, name)
        return self._called_by(path, name)

    def _elsewhere(self, name: str) -> str | None:
        found = self.public.get(name) or self.inline.get(name) or []
        return found[0] if len(found) == 1 else None

    def _called_by(self, path: str, name: str) -> list[Site]:
        return [
            site
            for site in self._callers.get(name, ())
            if site != (path, name)
            and (site[0] if (site[0], name) in self.calls else self._elsewhere(name)) == path
        ]

    def reached(self, fallible: Callable[[str], bool]) -> frozenset[Site]:
        """Functions from which a hypercall that can fail may be reached."""
        found = {
            site for site, names in self.issues.items() if any(fallible(name) for name in names)
        }
        pending = sorted(found)
        while pending:
            path, name = pending.pop()
            for site in self._called_by(path, name):
                if site not in found:
                    found.add(site)
                    pending.append(site)
        return frozenset(found)


def host_index(tree: Tree, entries: Iterable[EntryPoint]) -> HostIndex:
    """Index of the host files that the tables name. Unreadable files are left out."""
    index = HostIndex(trace=tree.trace)
    names = sorted(entry.name for entry in entries)
    issue = re.compile(rf"\b(?:{'|'.join(names)})\s*\(\s*(?:\w+\s*\(\s*)?(\w+)".encode())
    entry_names = frozenset(names)
    for path in (*host_files(tree.sources, tree.knowledge.tables.worlds), *headers(tree.sources)):
        try:
            unit = tree.unit(path, World.HOST)
        except SourceError:
            continue
        for head in unit.heads:
            site = (path, head.name)
            called = unit.called(head)
            index.calls[site] = index.calls.get(site, frozenset()) | called
            header = path.endswith(".h")
            if header or not head.static:
                seen = (index.inline if header else index.public).setdefault(head.name, [])
                if path not in seen:
                    seen.append(path)
            if called & entry_names:
                text = unit.file.data[head.start : head.end]
                found = frozenset(m[1].decode() for m in issue.finditer(text))
                index.issues[site] = index.issues.get(site, frozenset()) | found
    for site in sorted(index.calls):
        for name in index.calls[site]:
            index._callers.setdefault(name, []).append(site)
    return index
