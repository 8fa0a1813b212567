"""Turns table documents into Tables: the built-in ones, then the user's on top of them."""

from __future__ import annotations

from kvmlint.knowledge.effects import read_family
from kvmlint.knowledge.model import (
    Does,
    EffectRow,
    EntryPoint,
    Family,
    GuardRow,
    HypercallRow,
    Predicate,
    Role,
    Tables,
    Value,
    VerbPair,
    WorldTable,
)
from kvmlint.knowledge.reader import Reader

SECTIONS = (
    "entries",
    "family",
    "hypercalls",
    "verbs",
    "predicates",
    "roles",
    "guards",
    "cleanups",
    "errnos",
    "names",
    "world",
    "forget",
)


class Builder:
    """Tables under construction. A later row replaces an earlier one of the same name; ``forget``
    drops every row of a name. Raises KnowledgeError."""

    def __init__(self, base: Tables) -> None:
        self.entries = {row.name: row for row in base.entries}
        self.families: dict[str, Family] = dict(base.families)
        self.effects: dict[tuple[str, str, Does], EffectRow] = {
            (row.function, row.family, row.does): row for row in base.effects
        }
        self.hypercalls = {row.name: row for row in base.hypercalls}
        self.verbs = {row.verb: row for row in base.verbs}
        self.pairs = dict.fromkeys(base.name_pairs)
        self.predicates = {row.name: row for row in base.predicates}
        self.roles = dict(base.roles)
        self.guards = {row.name: row for row in base.guards}
        self.cleanups = dict(base.cleanups)
        self.errnos = dict(base.errnos)
        self.counters = dict.fromkeys(base.counters)
        self.statistics = dict.fromkeys(base.statistics)
        self.worlds = base.worlds

    def tables(self) -> Tables:
        return Tables(
            entries=tuple(self.entries.values()),
            families=self.families,
            effects=tuple(self.effects.values()),
            hypercalls=tuple(self.hypercalls.values()),
            verbs=tuple(self.verbs.values()),
            name_pairs=tuple(self.pairs),
            predicates=tuple(self.predicates.values()),
            roles=self.roles,
            guards=tuple(self.guards.values()),
            cleanups=self.cleanups,
            errnos=self.errnos,
            counters=tuple(self.counters),
            statistics=tuple(self.statistics),
            worlds=self.worlds,
        )

    def read(self, reader: Reader) -> None:
        """Adds one document (or the [knowledge] table of one)."""
        sections = reader.table(SECTIONS)
        if "forget" in sections:
            for name in sections["forget"].words():
                self._forget(name, sections["forget"])
        for section, add in (
            ("entries", self._entry),
            ("family", self._family),
            ("hypercalls", self._hypercall),
            ("verbs", self._verb),
            ("predicates", self._predicate),
            ("guards", self._guard),
        ):
            if section in sections:
                for name, row in sections[section].table().items():
                    add(name, row)
        if "roles" in sections:
            self._roles(sections["roles"])
        if "cleanups" in sections:
            for name, row in sections["cleanups"].table().items():
                self.cleanups[name] = row.text()
        if "errnos" in sections:
            for name, row in sections["errnos"].table().items():
                self.errnos[name] = row.number(1)
        if "names" in sections:
            self._names(sections["names"])
        if "world" in sections:
            self._world(sections["world"])

    def _forget(self, name: str, reader: Reader) -> None:
        known = [key for key in self.effects if key[0] == name]
        for key in known:
            del self.effects[key]
        found = bool(known)
        for rows in (self.entries, self.hypercalls, self.predicates, self.roles):
            found |= rows.pop(name, None) is not None
        if not found:
            reader.fail(f"no table has a row for '{name}'")

    def _entry(self, name: str, reader: Reader) -> None:
        parts = reader.table(
            ("value", "function", "wrapper", "prefix", "result", "status", "excludes")
        )
        if "value" not in parts:
            reader.fail("an entry point must say 'value'")
        self.entries[name] = EntryPoint(
            name=name,
            value=parts["value"].choice(Value),
            function=parts["function"].number(1) if "function" in parts else 1,
            wrapper=_text(parts, "wrapper"),
            prefix=_text(parts, "prefix"),
            result=_text(parts, "result"),
            status=_text(parts, "status"),
            excludes=_text(parts, "excludes"),
        )

    def _family(self, name: str, reader: Reader) -> None:
        told = read_family(reader, name, self.families.get(name))
        self.families[name] = told.family
        for row in told.rows:
            self.effects[(row.function, row.family, row.does)] = row

    def _hypercall(self, name: str, reader: Reader) -> None:
        parts = reader.table(("undone_by", "donates", "returned", "bulk", "kind"))
        inverses = parts["undone_by"].words() if "undone_by" in parts else ()
        returned = _text(parts, "returned")
        if returned not in ("", "host", "memcache"):
            parts["returned"].fail(f"'{returned}' is not one of host, memcache")
        kinds = ("", "nothing", "data", "status", "handle", "predicate", "pointer", "mixed")
        kind = _text(parts, "kind")
        if kind not in kinds:
            parts["kind"].fail(f"'{kind}' is not one of {', '.join(kinds[1:])}")
        self.hypercalls[name] = HypercallRow(
            name=name,
            undone_by=inverses[0] if inverses else "",
            donates=parts["donates"].numbers(1) if "donates" in parts else (),
            returned=returned,
            bulk="bulk" in parts and parts["bulk"].flag(),
            kind=kind,
            alternatives=inverses[1:],
        )

    def _verb(self, name: str, reader: Reader) -> None:
        parts = reader.table(("inverse", "hands_over"))
        if "inverse" not in parts:
            reader.fail("a verb must say 'inverse'")
        hands_over = "hands_over" in parts and parts["hands_over"].flag()
        self.verbs[name] = VerbPair(name, parts["inverse"].text(), hands_over)

    def _predicate(self, name: str, reader: Reader) -> None:
        parts = reader.table(("true", "false"))
        self.predicates[name] = Predicate(
            name=name,
            true=_answers(parts["true"]) if "true" in parts else (),
            false=_answers(parts["false"]) if "false" in parts else (),
        )

    def _guard(self, name: str, reader: Reader) -> None:
        words = reader.words()
        if len(words) != 2:
            reader.fail("must be two calls: the one that takes the lock and the one that drops it")
        self.guards[name] = GuardRow(name, words[0], words[1])

    def _roles(self, reader: Reader) -> None:
        values = {role.value: role for role in Role}
        seen: set[str] = set()
        for name, row in reader.table(values).items():
            for function in row.words():
                if function in seen:
                    row.fail(f"'{function}' is listed twice")
                seen.add(function)
                self.roles[function] = values[name]

    def _names(self, reader: Reader) -> None:
        parts = reader.table(("pairs", "counters", "statistics"))
        if "pairs" in parts:
            for name, row in parts["pairs"].table().items():
                for inverse in row.words():
                    self.pairs[(name, inverse)] = None
        if "counters" in parts:
            self.counters.update(dict.fromkeys(parts["counters"].words()))
        if "statistics" in parts:
            self.statistics.update(dict.fromkeys(parts["statistics"].words()))

    def _world(self, reader: Reader) -> None:
        """Globs and fatal macros add up; the rest replaces."""
        parts = reader.table(
            (
                "el2",
                "both",
                "handlers",
                "handler_prefix",
                "register",
                "result_register",
                "fatal",
                "context",
                "host",
            )
        )
        old = self.worlds
        self.worlds = WorldTable(
            el2=_more(old.el2, parts, "el2"),
            both=_more(old.both, parts, "both"),
            handlers=_more(old.handlers, parts, "handlers"),
            handler_prefix=_text(parts, "handler_prefix", old.handler_prefix),
            register=_text(parts, "register", old.register),
            result_register=(
                parts["result_register"].number()
                if "result_register" in parts
                else old.result_register
            ),
            fatal=_more(old.fatal, parts, "fatal"),
            context=_text(parts, "context", old.context),
            host=_more(old.host, parts, "host"),
        )


def _text(parts: dict[str, Reader], name: str, default: str = "") -> str:
    return parts[name].text() if name in parts else default


def _more(old: tuple[str, ...], parts: dict[str, Reader], name: str) -> tuple[str, ...]:
    new = parts[name].words() if name in parts else ()
    return tuple(dict.fromkeys((*old, *new)))


def _answers(reader: Reader) -> tuple[tuple[str, bool], ...]:
    """Predicates that follow, '!name' for one that is false."""
    return tuple((word.lstrip("!"), not word.startswith("!")) for word in reader.words())
