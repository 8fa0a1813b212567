"""One file in one world: explorations and summaries of its functions, made on demand."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from kvmlint.cfg.build import MOST_BLOCKS, TooLarge, build
from kvmlint.cfg.graph import Cfg
from kvmlint.explore.engine import Budget, Exploration, OverBudgetError, explore
from kvmlint.explore.oracle import HypercallContract, Summary
from kvmlint.explore.recursion import Recursion
from kvmlint.explore.reuse import Asking, Reuse
from kvmlint.explore.summarise import summarise
from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.model import EntryPoint, World
from kvmlint.source import SourceError, SourceFile
from kvmlint.syntax.ast import Function
from kvmlint.syntax.unit import FunctionHead, TooDeep, Unit
from kvmlint.trace import Trace
from kvmlint.tree.calls import FileCalls
from kvmlint.tree.index import HostIndex
from kvmlint.tree.tree import Tree, macro_entries

_VOID = re.compile(rb"\bvoid\s*$")
_MODE = re.compile(r"[\s(]*(!?)\s*(\w+)\(\)[\s)]*")
_STEPS = re.compile(rb"\+\+|--|\+=|-=")


@dataclass(frozen=True, slots=True)
class Caller:
    """An explored function together with the file it is in."""

    file: SourceFile
    found: Exploration


LONGEST = 500_000
"""Bytes of the longest function that is parsed; in a kernel few reach 50,000."""


class GivenUpError(Exception):
    """A function could not be analysed; ``str()`` says why, in words for the user."""


class Surroundings(Protocol):
    """What a module must know of the program that it is part of."""

    tree: Tree
    knowledge: Knowledge
    budget: Budget
    visits: int
    recursion: Recursion
    reuse: Reuse

    @property
    def trace(self) -> Trace:
        """What its answers are made from."""
        ...

    @property
    def index(self) -> HostIndex:
        """Calls between the tree's host files."""
        ...

    def hypercall(self, name: str) -> HypercallContract:
        """The contract of a hypercall."""
        ...

    def el2_summary(self, function: str) -> Summary | None:
        """Summary of an EL2 function."""
        ...

    def host_summary(self, path: str, function: str) -> Summary | None:
        """Summary of a function that another host file defines."""
        ...

    def host_helper(self, path: str, function: str) -> Summary | None:
        """Summary of a function of another host file that reaches no hypercall."""
        ...

    def host_module(self, path: str) -> Module:
        """The analysis of another host file."""
        ...

    def reaches(self, path: str, function: str) -> bool:
        """Whether a hypercall's outcome comes through a function."""
        ...

    def may_reach(self, path: str, function: str) -> bool:
        """The same by the calls in the text alone."""
        ...


class Module:
    """One file in one world: an Oracle for the functions in it."""

    def __init__(self, program: Surroundings, unit: Unit, world: World) -> None:
        self.program = program
        self.unit = unit
        self.world = world
        self.heads: dict[str, list[FunctionHead]] = {}
        for head in unit.heads:
            self.heads.setdefault(head.name, []).append(head)
        own = macro_entries(
            list(unit.defines), {e.name: e for e in program.knowledge.tables.entries}
        )
        self.knowledge = program.knowledge.with_entries(own) if own else program.knowledge
        self._cfgs: dict[FunctionHead, Cfg] = {}
        self._found: dict[FunctionHead, Exploration | GivenUpError] = {}
        self._modes: dict[str, tuple[str, bool]] | None = None
        self._summaries: dict[str, Summary | None] = {}
        self._calls: FileCalls | None = None
        self._reaching: frozenset[str] | None = None

    # --- the Oracle ------------------------------------------------------------------------------

    def entry(self, name: str) -> EntryPoint | None:
        """The entry point of that name."""
        return self.knowledge.entry(name)

    def hypercall(self, name: str) -> HypercallContract:
        """EL2's contract of a hypercall."""
        return self.program.hypercall(name)

    def mode(self, name: str) -> tuple[str, bool] | None:
        """The mode predicate that a macro of this file stands for: ``#define in_hyp() (p())``."""
        if self._modes is None:
            self._modes = {}
            for define in self.unit.defines:
                match = _MODE.fullmatch(define.body)
                if define.parameters == () and match and self.knowledge.predicate(match[2]):
                    self._modes[define.name] = (match[2], not match[1])
        return self._modes.get(name)

    def has_inverse(self, function: str) -> bool:
        """Whether a function is one of this file, or its inverse, by name, can be seen."""
        if function in self.heads:
            return True
        found = self.knowledge.verb_inverse(function)
        names = (*self.knowledge.inverse_names(function), *([found[0]] if found else []))
        path = self.unit.file.path
        return any(
            name in self.heads or self.program.index.resolve(path, name) is not None
            for name in names
        )

    def summary(self, function: str) -> Summary | None:
        """Summary of a function of this file; at EL2 of any EL2 file."""
        if function in self.heads:
            return self.own_summary(function)
        if self.world is World.EL2:
            return self.program.el2_summary(function)
        return self.program.host_summary(self.unit.file.path, function)

    def helper(self, function: str) -> Summary | None:
        """Summary of a function of another host file that reaches no hypercall."""
        return self.program.host_helper(self.unit.file.path, function)

    def own_summary(self, function: str) -> Summary | None:
        """Summary of a function of this file, or None when it says nothing worth the cost, can't be
        explored, or is being explored (recursion: IMPRECISE, an unknown call)."""
        work = ("function", self.unit.file.path, self.world.value, function)
        self.program.trace.uses(*work)
        if function in self._summaries:
            return self._summaries[function]
        with self.program.trace.making(*work):
            self.program.trace.asks("file", self.unit.file.path)
            return self._own_summary(function)

    def _own_summary(self, function: str) -> Summary | None:
        if function not in self.heads or not self._matters(function):
            self._summaries[function] = None
            return None
        site = (self.unit.file.path, self.world, function)
        recursion = self.program.recursion
        if recursion.cut(site):
            return None
        known = recursion.recall(site)
        if known is not None:
            return known.summary
        with recursion.exploring(site) as frame:
            made = self._summarise(function)
        if frame.cuts:
            # Made while a function that it calls was unfinished: not good for everybody, so that
            # the answer doesn't depend on who asked first.
            recursion.keep(frame, made)
            return made
        self._summaries[function] = made
        return made

    def _summarise(self, function: str) -> Summary | None:
        merged: Summary | None = None
        for head in self.heads[function]:
            try:
                made = summarise(self._explore(head))
            except GivenUpError:
                return Summary(function, (), (), given_up=True)
            if merged is None:
                merged = made
            else:
                classes = dict.fromkeys((*merged.classes, *made.classes))
                merged = Summary(
                    function,
                    merged.parameters,
                    tuple(classes),
                    tuple(dict.fromkeys((*merged.undoes, *made.undoes))),
                    merged.reaches or made.reaches,
                    merged.hands_status or made.hands_status,
                    merged.imprecise or made.imprecise,
                    tuple(dict.fromkeys((*merged.errnos, *made.errnos))),
                    merged.stores | made.stores,
                    merged.given_up or made.given_up,
                    merged.passed | made.passed,
                    merged.undecoded or made.undecoded,
                    merged.service or made.service,
                    tuple(dict.fromkeys((*merged.returned, *made.returned))),
                )
        return merged

    def _matters(self, function: str) -> bool:
        if self.world is World.EL2:
            # Only what is returned, or left in the host's registers, reaches the host.
            context = self.knowledge.tables.worlds.context.encode()
            data = self.unit.file.data
            return any(
                _VOID.search(data, head.start, head.name_start) is None
                or context in data[head.name_start : data.find(b"{", head.name_start)]
                for head in self.heads[function]
            )
        if self.reaches(function) or self.program.may_reach(self.unit.file.path, function):
            return True
        for head in self.heads[function]:
            text = self.unit.file.data[head.start : head.end]
            if _STEPS.search(text):
                return True
            called = self.unit.called(head)
            if any(self.knowledge.effects(name) for name in called):
                return True
            if any(n in self.heads and n != function and self._helps(n) for n in called):
                return True
        return False

    def _helps(self, function: str) -> bool:
        return any(
            self.knowledge.effects(name)
            for head in self.heads[function]
            for name in self.unit.called(head)
        )

    # --- reachability ----------------------------------------------------------------------------

    def reaches(self, function: str) -> bool:
        """Whether a function of this file can reach a hypercall through functions of this file, or
        one that can fail through functions of other files."""
        path = self.unit.file.path
        if (path, function) in self.program.index.calls:
            return self.program.reaches(path, function)
        if self._reaching is None:
            entries = {entry.name for entry in self.knowledge.tables.entries}
            self._reaching = self._file_calls().reaching(entries)
        return function in self._reaching

    def _file_calls(self) -> FileCalls:
        if self._calls is None:
            self._calls = FileCalls(self.unit, self.heads)
        return self._calls

    def callers(self, function: str) -> list[Caller]:
        """Explorations of the functions that call a function of this file, as far as they can be
        seen."""
        path = self.unit.file.path
        sites = self.program.index.callers(path, function) if self.world is World.HOST else []
        if not any(site[0] == path for site in sites):
            sites = [*sites, *((path, name) for name in self._file_calls().callers(function))]
        found: list[Caller] = []
        for where, name in sites:
            module = self if where == path else self.program.host_module(where)
            with suppress(GivenUpError, SourceError):
                found.extend(Caller(module.unit.file, one) for one in module.explorations(name))
        return found

    # --- exploration -----------------------------------------------------------------------------

    def cfg(self, head: FunctionHead) -> Cfg:
        """Control flow graph of a function variant. Raises GivenUpError."""
        found = self._cfgs.get(head)
        if found is None:
            try:
                found = build(self._function(head))
            except RecursionError:
                raise GivenUpError("it is nested too deeply") from None
            except TooLarge:
                raise GivenUpError(f"it is too large: more than {MOST_BLOCKS} blocks") from None
            self._cfgs[head] = found
        return found

    def _function(self, head: FunctionHead) -> Function:
        """A function variant with its body. Raises GivenUpError."""
        if head.end - head.name_start > LONGEST:
            raise GivenUpError(f"it is too large: more than {LONGEST} bytes")
        try:
            return self.unit.lower(head)
        except (TooDeep, RecursionError):
            raise GivenUpError("it is nested too deeply") from None

    def exploration(self, function: str) -> Exploration:
        """All paths of a function's first variant. Raises GivenUpError."""
        if function not in self.heads:
            raise GivenUpError("it can't be told from the text around it")
        return self.explorations(function)[0]

    def explorations(self, function: str) -> list[Exploration]:
        """All paths of each variant of a function. Raises GivenUpError."""
        if function not in self.heads:
            raise GivenUpError("it can't be told from the text around it")
        site = (self.unit.file.path, self.world, function)
        trace = self.program.trace
        work = ("function", site[0], self.world.value, function)
        trace.uses(*work)
        with trace.making(*work):
            trace.asks("file", site[0])
            if self.program.recursion.is_active(site):
                return [self._explore(head) for head in self.heads[function]]
            # On the stack, as when a caller asks: a recursion then ends at the same place.
            with self.program.recursion.exploring(site):
                return [self._explore(head) for head in self.heads[function]]

    def _explore(self, head: FunctionHead) -> Exploration:
        found = self._found.get(head)
        if found is None:
            try:
                made = self._made(head)
                if isinstance(made, OverBudgetError):
                    found = GivenUpError(f"too many paths: {made}")
                else:
                    found = made
            except GivenUpError as error:
                found = error
            except RecursionError:
                found = GivenUpError("it is nested too deeply")
            if self.program.recursion.whole() or isinstance(found, GivenUpError):
                self._found[head] = found
        if isinstance(found, GivenUpError):
            raise found
        return found

    def _made(self, head: FunctionHead) -> Exploration | OverBudgetError:
        """An exploration that was made before, or a new one. Raises GivenUpError."""
        place = (self.unit.file.path, self.world, head.name, head.variant)
        function, entries = self._function(head), self.knowledge.tables.entries
        asking = Asking(self)
        found = self.program.reuse.find(place, function, entries, asking)
        if found is not None:
            return found
        cfg = self.cfg(head)
        origin = self.unit.file.path if self.world is World.EL2 else ""
        try:
            made = explore(cfg, self.knowledge, asking, self.world, self.program.budget, origin)
            self.program.visits += made.visits
        except OverBudgetError as error:
            self.program.reuse.keep(place, function, entries, asking, error)
            return error
        self.program.reuse.keep(place, function, entries, asking, made)
        return made
