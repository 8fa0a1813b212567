"""The program around a function: answers the explorer's questions from other code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kvmlint.contract.contract import contract_of
from kvmlint.contract.doubt import doubt
from kvmlint.explore.engine import Budget, Exploration
from kvmlint.explore.oracle import HypercallContract, ReturnKind, Summary, carries
from kvmlint.explore.recursion import Recursion
from kvmlint.explore.reuse import Reuse
from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.model import World
from kvmlint.module import GivenUpError, Module
from kvmlint.source import SourceError
from kvmlint.syntax.unit import Unit
from kvmlint.trace import Trace
from kvmlint.tree.index import HostIndex, host_index
from kvmlint.tree.tree import Tree


@dataclass(slots=True)
class Program:
    """All code that can be seen from a tree. Explorations and summaries are made on demand, callees
    first, each once."""

    tree: Tree
    knowledge: Knowledge
    budget: Budget = field(default_factory=Budget)
    contracts: dict[str, HypercallContract] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    visits: int = 0
    recursion: Recursion = field(default_factory=Recursion)
    reuse: Reuse = field(default_factory=Reuse)
    _index: HostIndex | None = None
    _reached: frozenset[tuple[str, str]] | None = None
    _reaching: dict[tuple[str, str], bool] = field(default_factory=dict)
    _modules: dict[tuple[str, World], Module] = field(default_factory=dict)

    @property
    def trace(self) -> Trace:
        """What its answers are made from."""
        return self.tree.trace

    def module(self, unit: Unit, world: World) -> Module:
        """The analysis of one file in one world."""
        key = (unit.file.path, world)
        found = self._modules.get(key)
        if found is None:
            found = self._modules[key] = Module(self, unit, world)
        return found

    def el2_summary(self, function: str) -> Summary | None:
        """Summary of an EL2 function, wherever it is."""
        path = self.tree.el2_file(function)
        if path is None:
            return None
        try:
            unit = self.tree.unit(path, World.EL2)
        except SourceError:
            return None
        return self.module(unit, World.EL2).own_summary(function)

    @property
    def index(self) -> HostIndex:
        """Calls between the tree's host files; empty for a lone file."""
        if self._index is None:
            entries = self.knowledge.tables.entries
            # Its answers are asked for again, not this work: it reads every file.
            with self.trace.making("index"):
                self._index = host_index(self.tree, entries) if self.tree.whole else HostIndex()
        return self._index

    def reaches(self, path: str, function: str) -> bool:
        """Whether a function of the tree issues a hypercall, or calls something that carries the
        outcome of one that can fail."""
        site = (path, function)
        if site in self.index.issues:
            return True
        if not self.may_reach(path, function):
            return False
        self.trace.uses("reaches", path, function)
        known = self._reaching.get(site)
        if known is None:
            self._reaching[site] = False  # while it is being found out: recursion adds nothing
            with self.trace.making("reaches", path, function):
                self.trace.asks("file", path)
                known = self._reaching[site] = any(
                    self._carries(path, name) for name in sorted(self.index.calls[site])
                )
        return known

    def may_reach(self, path: str, function: str) -> bool:
        """Whether, by the calls in the tree's text, a hypercall that can fail may be reached."""
        self.trace.asks("may reach", path, function)
        if self._reached is None:
            # Answers are asked for again, not this work: it reads every handler.
            with self.trace.making("reached"):
                self._reached = self.index.reached(self.may_fail)
        return (path, function) in self._reached

    def may_fail(self, name: str) -> bool:
        """Whether a hypercall may hand anything to the host, by its handler's text: a handler that
        only reads its arguments can't. Cheaper than its contract, and never wrongly False."""
        worlds = self.knowledge.tables.worlds
        path = self.tree.handler_file(name)
        if path is None:
            return True
        try:
            unit = self.tree.unit(path, World.EL2)
        except SourceError:
            return True
        for head in unit.heads:
            if head.name == worlds.handler_prefix + name:
                text = unit.file.data[head.name_start : head.end]
                context = re.search(rb"%s\s*\*\s*(\w+)" % worlds.context.encode(), text)
                if context is None:
                    return True
                reads = rb"(?m)^\s*\w+\([^()=;]*\b%s\s*,\s*\d+\s*\)\s*;" % context[1]
                return context[1] in re.sub(reads, b"", text[context.end() :])
        return True

    def _carries(self, path: str, function: str) -> bool:
        where = self.index.resolve(path, function)
        if where is None or not self.reaches(where, function):
            return False
        summary = self.host_module(where).own_summary(function)
        return summary is not None and carries(summary)

    def host_module(self, path: str) -> Module:
        """The analysis of a host file. Raises SourceError."""
        return self.module(self.tree.unit(path, World.HOST), World.HOST)

    def host_summary(self, path: str, function: str) -> Summary | None:
        """Summary of a function that another host file defines, when it matters to callers."""
        where = self.index.resolve(path, function)
        if where is None or where == path or not self.may_reach(where, function):
            return None
        return self.host_module(where).own_summary(function)

    def host_helper(self, path: str, function: str) -> Summary | None:
        """Summary of a function that another host file defines, which reaches no hypercall, when it
        does what the tables know."""
        where = self.index.resolve(path, function)
        if where is None or where == path or self.may_reach(where, function):
            return None
        self.trace.asks("file", where)
        if not any(self.knowledge.effects(name) for name in self.index.calls[where, function]):
            return None
        return self.host_module(where).own_summary(function)

    def hypercall(self, name: str) -> HypercallContract:
        """The contract of a hypercall, from its handler at EL2."""
        self.trace.uses("contract", name)
        found = self.contracts.get(name)
        if found is None:
            with self.trace.making("contract", name):
                found = self._contract(name)
                why = doubt(self.tree, name) if found.has_handler else ""
            if why:
                self.doubts[name] = why
                found = HypercallContract(name, has_handler=True)
            self.contracts[name] = found
        return found

    def _contract(self, name: str) -> HypercallContract:
        row = self.knowledge.hypercall(name)
        if row is not None and row.kind:
            return HypercallContract(name, ReturnKind(row.kind), has_handler=True)
        path = self.tree.handler_file(name)
        if path is None:
            return HypercallContract(name, has_handler=False if self.tree.has_el2 else None)
        worlds = self.knowledge.tables.worlds
        try:
            module = self.module(self.tree.unit(path, World.EL2), World.EL2)
            found = module.explorations(worlds.handler_prefix + name)
            found += self._answering(found[0])
        except (SourceError, GivenUpError):
            return HypercallContract(name, has_handler=True)
        return contract_of(name, found, worlds)

    def _answering(self, handler: Exploration) -> list[Exploration]:
        """Functions that a handler hands to code which can't be seen (assembly that doesn't come
        back) and that write the host's registers themselves."""
        register = f"{self.knowledge.tables.worlds.register}(".encode()
        answering: list[Exploration] = []
        for name in sorted(handler.ledger.passed):
            path = self.tree.el2_file(name)
            if path is None:
                continue
            module = self.module(self.tree.unit(path, World.EL2), World.EL2)
            heads = module.heads.get(name, ())
            if any(register in module.unit.file.data[head.start : head.end] for head in heads):
                answering.append(module.exploration(name))
        return answering
