"""What the engine asks the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from kvmlint.knowledge.model import (
    EffectRow,
    EntryPoint,
    Family,
    GuardRow,
    HypercallRow,
    Predicate,
    Role,
    Tables,
    VerbPair,
)

Answers = tuple[tuple[str, bool], ...]


class Knowledge:
    """Tables with indexes. Immutable; ``digest`` (hex sha256 of what the tables were made from)
    is for cache keys."""

    def __init__(self, tables: Tables, digest: str) -> None:
        self.tables = tables
        self.digest = digest
        self._entries = {row.name: row for row in tables.entries}
        self._hypercalls = {row.name: row for row in tables.hypercalls}
        self._predicates = {row.name: row for row in tables.predicates}
        self._guards = {row.name: row for row in tables.guards}
        self._verbs = {row.verb: row for row in tables.verbs}
        self._inverse_verbs = {row.inverse: row for row in tables.verbs}
        self._counters = frozenset(tables.counters)
        self._statistics = frozenset(tables.statistics)
        self._effects: dict[str, list[EffectRow]] = {}
        for effect in tables.effects:
            self._effects.setdefault(effect.function, []).append(effect)
        # The longest prefix wins: 'kvm_pgtable_*' before 'kvm_*'.
        globs = [(name[:-1], role) for name, role in tables.roles.items() if name.endswith("*")]
        self._globs = sorted(globs, key=lambda glob: (-len(glob[0]), glob[0]))
        self._roles: dict[str, Role | None] = {}
        self._pairs: dict[str, list[str]] = {}
        for word, inverse in tables.name_pairs:
            self._pairs.setdefault(word, []).append(inverse)
        self._errno_names: dict[int, str] = {}
        for name, number in tables.errnos.items():
            self._errno_names.setdefault(number, name)
        self._undoes: dict[str, list[HypercallRow]] = {}
        for row in tables.hypercalls:
            for name in (row.undone_by, *row.alternatives):
                if name:
                    self._undoes.setdefault(name, []).append(row)
        self._implied = _closure(tables.predicates)

    # Effects

    def effects(self, function: str) -> tuple[EffectRow, ...]:
        """The rows of a function: none, one, or several (downgrade_write undoes and makes)."""
        return tuple(self._effects.get(function, ()))

    def family(self, name: str) -> Family | None:
        return self.tables.families.get(name)

    def role(self, function: str) -> Role | None:
        """Exact name first, then globs; None is an unknown call."""
        if function not in self._roles:
            by_prefix = (role for prefix, role in self._globs if function.startswith(prefix))
            self._roles[function] = self.tables.roles.get(function) or next(by_prefix, None)
        return self._roles[function]

    def guard(self, kind: str) -> GuardRow | None:
        """What ``guard(kind)(x)`` calls at its begin and at its scope's end."""
        return self._guards.get(kind)

    def cleanup(self, name: str) -> str:
        """What ``__free(name)`` calls; an unknown one is taken to be named after its function."""
        return self.tables.cleanups.get(name, name)

    def is_counter(self, field: str) -> bool:
        """Does the field's name say that ``x->field++`` takes something?"""
        return any(word in self._counters for word in field.lower().split("_"))

    def is_statistics(self, field: str) -> bool:
        return field in self._statistics

    def inverse_names(self, function: str) -> tuple[str, ...]:
        """Guesses: names that would undo ``function``, by one word of it ('foo_init' →
        'foo_destroy'), likeliest first."""
        words = function.split("_")
        guesses: dict[str, None] = {}
        for index in reversed(range(len(words))):
            for inverse in self._pairs.get(words[index], ()):
                guesses["_".join((*words[:index], inverse, *words[index + 1 :]))] = None
        return tuple(guesses)

    # Hypercalls

    def entry(self, name: str) -> EntryPoint | None:
        return self._entries.get(name)

    def hypercall(self, name: str) -> HypercallRow | None:
        return self._hypercalls.get(name)

    def undoes(self, name: str) -> tuple[HypercallRow, ...]:
        """The rows that name this hypercall as their inverse: what a teardown undoes."""
        return tuple(self._undoes.get(name, ()))

    def verb_inverse(self, name: str) -> tuple[str, VerbPair] | None:
        """The inverse's name by a whole word of this one: '__pkvm_host_share_hyp' →
        '__pkvm_host_unshare_hyp'. None where a row of ``hypercalls`` knows better."""
        found = _other(name, {verb: (pair.inverse, pair) for verb, pair in self._verbs.items()})
        row = self._hypercalls.get(name)
        if found and row and found[0] not in (row.undone_by, *row.alternatives):
            return None
        return found

    def verb_forward(self, name: str) -> tuple[str, VerbPair] | None:
        """For a reclaiming name: the acquiring one and its pair. None where a row knows better."""
        if name in self._hypercalls:
            return None
        verbs = {inverse: (pair.verb, pair) for inverse, pair in self._inverse_verbs.items()}
        found = _other(name, verbs)
        if found is None:
            return None
        row = self._hypercalls.get(found[0])
        if row and name not in (row.undone_by, *row.alternatives):
            return None
        return found

    # Predicates

    def predicate(self, name: str) -> Predicate | None:
        return self._predicates.get(name)

    def implied(self, name: str, answer: bool) -> Answers:
        """All that follows from an answer, contrapositives included, itself not."""
        return self._implied.get((name, answer), ())

    # Errnos

    def errno(self, name: str) -> int | None:
        return self.tables.errnos.get(name)

    def errno_name(self, number: int) -> str:
        """The first name with that number; the sign doesn't matter; the number if it has none."""
        return self._errno_names.get(abs(number), str(abs(number)))

    def with_entries(self, entries: Iterable[EntryPoint]) -> Knowledge:
        """The same with more entry points: macros found in a tree. They replace those of the same
        name, for the tree's own definition is nearer the truth than our memory of it."""
        rows = {**self._entries, **{row.name: row for row in entries}}
        if rows == self._entries:
            return self
        merged = tuple(rows[name] for name in sorted(rows))
        text = repr(merged)
        return Knowledge(replace(self.tables, entries=merged), chain(self.digest, text))


def chain(digest: str, text: str) -> str:
    """The digest of what had ``digest`` and then got ``text``."""
    return hashlib.sha256(f"{digest}\n{text}".encode()).hexdigest()


def _other(name: str, verbs: dict[str, tuple[str, VerbPair]]) -> tuple[str, VerbPair] | None:
    words = name.split("_")
    for index, word in enumerate(words):
        if word in verbs:
            other, pair = verbs[word]
            return "_".join((*words[:index], other, *words[index + 1 :])), pair
    return None


def _closure(predicates: tuple[Predicate, ...]) -> dict[tuple[str, bool], Answers]:
    """Everything that follows from each answer: A → B also says not B → not A."""
    step: dict[tuple[str, bool], set[tuple[str, bool]]] = {}
    for row in predicates:
        for answer, follows in ((True, row.true), (False, row.false)):
            for other, value in follows:
                step.setdefault((row.name, answer), set()).add((other, value))
                step.setdefault((other, not value), set()).add((row.name, not answer))
    closed: dict[tuple[str, bool], Answers] = {}
    for start in step:
        reached: set[tuple[str, bool]] = set()
        open_ends = [start]
        while open_ends:
            for fact in step.get(open_ends.pop(), ()):
                if fact not in reached and fact != start:
                    reached.add(fact)
                    open_ends.append(fact)
        closed[start] = tuple(sorted(reached))
    return closed
