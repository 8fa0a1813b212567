"""Preprocessor variants: which branches of the ``#if`` groups are taken together.

Enough variants are made for every branch to be taken in one of them; within a variant the choices
agree with each other as far as the conditions can be understood. The world (host, nVHE, VHE) and
``__ASSEMBLY__`` are given, not chosen: a branch that they exclude is dead and needs no variant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kvmlint.syntax.conditions import Condition, Goal, directive_condition, solve
from kvmlint.syntax.mask import Directive

MOST_VARIANTS = 16
"""Beyond this a file's remaining branches are reported as not analysed."""

WORLDS = ("__KVM_NVHE_HYPERVISOR__", "__KVM_VHE_HYPERVISOR__")
_NEVER = ("__ASSEMBLY__", "__ASSEMBLER__", "__cplusplus", "LINKER_SCRIPT", "__CHECKER__")
_DEEPEST = 40
"""Nesting beyond which the outer conditions are no longer solved for, only forced."""
_MOST_GOALS = 40
"""Earlier conditions of a group that a later branch denies: bounds the solver's recursion."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Lines between two directives of one group. ``goals`` hold when it is taken."""

    start: int
    end: int
    parent: int
    goals: tuple[Goal, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """``dead``: half-open byte ranges that this variant leaves out, in file order."""

    dead: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Variants:
    """``uncovered``: ranges that no variant takes although the world allows them."""

    variants: tuple[Variant, ...]
    uncovered: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Set:
    """A ``#define`` or ``#undef`` in a branch: from here on the atom is known."""

    name: str
    value: bool
    branch: int


class _Groups:
    """The conditional structure of a file: branches in file order, and what happens when."""

    def __init__(self, directives: Collection[Directive], length: int) -> None:
        self.branches: list[Branch] = []
        self.events: list[list[int] | _Set] = []
        ends: list[int] = []
        # One open group: its branch numbers, the conditions so far.
        stack: list[tuple[list[int], list[Condition]]] = []
        for line in directives:
            parent = stack[-1][0][-1] if stack else -1
            match line.keyword:
                case "if" | "ifdef" | "ifndef":
                    group: list[int] = [len(self.branches)]
                    condition = directive_condition(line.keyword, line.text)
                    stack.append((group, [condition]))
                    self.events.append(group)
                    self.branches.append(Branch(line.end, length, parent, ((condition, True),)))
                    ends.append(length)
                case "elif" | "else" | "elifdef" | "elifndef" if stack:
                    group, before = stack[-1]
                    ends[group[-1]] = line.start
                    goals = tuple((one, False) for one in before[-_MOST_GOALS:])
                    if line.keyword != "else":
                        condition = directive_condition(line.keyword, line.text)
                        before.append(condition)
                        goals = ((condition, True), *goals)
                    outer = self.branches[group[0]].parent
                    group.append(len(self.branches))
                    self.branches.append(Branch(line.end, length, outer, goals))
                    ends.append(length)
                case "endif" if stack:
                    ends[stack.pop()[0][-1]] = line.start
                case "define" | "undef" if self.branches and line.text:
                    name = line.text.split("(")[0].split()
                    if name:
                        self.events.append(_Set(name[0], line.keyword == "define", parent))
        self.branches = [
            Branch(one.start, end, one.parent, one.goals)
            for one, end in zip(self.branches, ends, strict=True)
        ]

    def chain(self, branch: int) -> list[int]:
        """The branch and those around it, innermost first."""
        chain = []
        while branch >= 0:
            chain.append(branch)
            branch = self.branches[branch].parent
        return chain


def variants_of(
    directives: Collection[Directive], length: int, world_defines: frozenset[str]
) -> Variants:
    """The variants of a file of ``length`` bytes; at least one."""
    groups = _Groups(directives, length)
    branches = groups.branches
    if not branches:
        return Variants((Variant(()),), ())
    world = dict.fromkeys((*WORLDS, *_NEVER), False) | dict.fromkeys(world_defines, True)
    wanted = [False] * len(branches)
    for number, branch in enumerate(branches):
        alive = branch.parent < 0 or wanted[branch.parent]
        wanted[number] = alive and solve(branch.goals, world) is not None
    possible = list(wanted)
    variants: list[Variant] = []
    covered: set[int] = set()
    while not variants or (any(wanted) and len(variants) < MOST_VARIANTS):
        live = _choose(groups, world, wanted, possible, not variants)
        covered |= live
        for number in live:
            wanted[number] = False
        variants.append(Variant(_dead(branches, live)))
    left = tuple(
        (branches[number].start, branches[number].end)
        for number, open_ in enumerate(wanted)
        if open_ and not (branches[number].parent >= 0 and wanted[branches[number].parent])
    )
    return Variants(tuple(variants), left)


def _choose(
    groups: _Groups,
    world: Mapping[str, bool],
    wanted: list[bool],
    possible: list[bool],
    first: bool,
) -> set[int]:
    """The branches of one more variant. It aims at the first wanted branch."""
    if first:
        return _walk(groups, world, wanted, possible, frozenset())
    target = wanted.index(True)
    chain = groups.chain(target)
    seed = None
    if len(chain) <= _DEEPEST:
        goals = tuple(goal for number in chain for goal in groups.branches[number].goals)
        seed = solve(goals, world)
    if seed is not None:
        live = _walk(groups, seed, wanted, possible, frozenset())
        if target in live:
            return live
    # IMPRECISE: a branch that contradicts what is around it (a #define between the two may make it
    # possible) is shown all the same: an impossible variant is better than unseen code.
    return _walk(groups, world, wanted, possible, frozenset(chain))


def _walk(
    groups: _Groups,
    seed: Mapping[str, bool],
    wanted: list[bool],
    possible: list[bool],
    forced: frozenset[int],
) -> set[int]:
    branches = groups.branches
    needs = list(wanted)
    for number in range(len(branches) - 1, -1, -1):
        if needs[number] and branches[number].parent >= 0:
            needs[branches[number].parent] = True
    known = dict(seed)
    live: set[int] = set()
    for event in groups.events:
        if isinstance(event, _Set):
            if event.branch < 0 or event.branch in live:
                known[event.name] = event.value
            continue
        parent = branches[event[0]].parent
        if parent >= 0 and parent not in live:
            continue
        pinned = [number for number in event if number in forced]
        if pinned:
            live.add(pinned[0])
            continue
        for number in sorted(event, key=lambda one: (not needs[one], one)):
            if not possible[number]:
                continue
            extended = solve(branches[number].goals, known)
            if extended is not None:
                known = extended
                live.add(number)
                break
    return live


def _dead(branches: list[Branch], live: set[int]) -> tuple[tuple[int, int], ...]:
    dead: list[tuple[int, int]] = []
    for number, branch in enumerate(branches):
        if number not in live and branch.end > branch.start:
            if dead and branch.end <= dead[-1][1]:
                continue
            dead.append((branch.start, branch.end))
    return tuple(dead)


def apply(text: bytes, variant: Variant) -> bytes:
    """``text`` with the dead ranges of the variant blanked."""
    if not variant.dead:
        return text
    out = bytearray(text)
    for start, end in variant.dead:
        out[start:end] = b" " * (end - start)
    return bytes(out)
