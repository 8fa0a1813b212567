"""From operations to words: source lines, messages and C text for the steps of a path."""

from __future__ import annotations

from collections.abc import Iterable

from kvmlint.cfg.ops import CallOp, CleanupOp, GuardOp, Op, ReturnOp, StoreOp
from kvmlint.diagnostic import Note
from kvmlint.explore.effects import Ledger
from kvmlint.explore.engine import Exit
from kvmlint.explore.state import Effect, EffectKind, Event
from kvmlint.knowledge import Knowledge
from kvmlint.knowledge.model import Operand
from kvmlint.source import SourceFile, Span
from kvmlint.syntax.ast import Expr, Name


class Narrator:
    """Renders the sites of one exploration."""

    def __init__(self, file: SourceFile, ledger: Ledger, knowledge: Knowledge) -> None:
        self.file = file
        self.ledger = ledger
        self.knowledge = knowledge

    def text(self, start: int, end: int) -> str:
        """Source text of a byte range, on one line."""
        return " ".join(self.file.data[start:end].decode("utf-8", "replace").split())

    def span(self, site: int) -> Span:
        """Where an operation stands. A call that goes over several lines is reported as its name,
        so that the region is one tight line."""
        op = self.ledger.ops[site]
        start, end = op.start, op.end
        if isinstance(op, CallOp) and self.file.line_of(start) != self.file.line_of(end):
            end = op.func.end if isinstance(op.func, Name) else start + 1
        span = self.file.span(start, end)
        if span.line != span.end_line:
            line_end = start + len(self.file.line_text(span.line).encode()) - span.column + 1
            span = self.file.span(start, max(start, line_end))
        return span

    def line(self, site: int) -> str:
        """The source line of an operation, stripped."""
        return self.file.line_text(self.file.line_of(self.ledger.ops[site].start)).strip()

    def note(self, site: int, message: str) -> Note:
        """One step."""
        return Note(self.span(site), self.line(site), message)

    def steps(self, exit_: Exit, said: Iterable[tuple[int, str]]) -> tuple[Note, ...]:
        """Steps in the order in which the path passes them; the return last."""
        position: dict[int, int] = {}
        at = 0
        for block in exit_.trail:
            first = self.ledger.first[block]
            for offset in range(len(self.ledger.cfg.ops[block])):
                position.setdefault(first + offset, at)
                at += 1
        last: dict[int, int] = {}
        at = 0
        for block in exit_.trail:
            first = self.ledger.first[block]
            for offset in range(len(self.ledger.cfg.ops[block])):
                last[first + offset] = at
                at += 1
        notes: dict[tuple[int, str], None] = dict.fromkeys(said)
        ordered = sorted(
            notes,
            key=lambda item: (
                last.get(item[0], at) if "fail" in item[1] else position.get(item[0], at),
                item[0],
                item[1],
            ),
        )
        return tuple(self.note(site, message) for site, message in ordered)

    def happened(self, effect: Effect) -> str:
        """What an effect was, in words."""
        row = self.ledger.rows.get((effect.site, effect.family))
        if effect.via:
            what = _BY_CALLEE[effect.kind] if effect.building else _GONE[effect.kind]
            return f"{what} in {effect.via}()"
        if row is not None:
            family = self.knowledge.family(row.family)
            if row.text:
                return row.text
            if family is not None:
                return family.made if effect.building else family.undone
        return _BY_CALLEE[effect.kind] if effect.building else _GONE[effect.kind]

    def standing(self, effect: Effect) -> str:
        """An effect as an item of the list of what stands: where, the C, what it was."""
        op = self.ledger.ops[effect.site]
        line = self.file.line_of(op.start)
        text = self.text(op.start, op.end)
        if len(text) > 60:
            text = text[:59] + "…"
        return f"{self.happened(effect)} at line {line}: {text}"

    def undo(self, effect: Effect) -> str:
        """The C statement that would undo a building effect; '' when none is known."""
        op = self.ledger.ops[effect.site]
        if effect.kind is EffectKind.ACQUIRE:
            return f"{self.gives_back(effect)} for what was acquired"
        if effect.kind is EffectKind.PAIR:
            args = self._arg(op, 1)
            return f"{effect.family.partition(':')[2]}({args});"
        if effect.kind is EffectKind.COUNT and isinstance(op, StoreOp):
            return f"{self.text(op.place.start, op.place.end)}--;"
        row = self.ledger.rows.get((effect.site, effect.family))
        if row is None or effect.via:
            return ""
        return row.undo_text.format_map(
            _Names(
                resource=self._operand(effect.site, op, row.resource),
                container=self._operand(effect.site, op, row.container),
            )
        )

    def gives_back(self, effect: Effect) -> str:
        """What gives back what a hypercall acquired: the call by which this function does it on
        another path, as it is written, or else the name of the hypercall."""
        for site in sorted(self.ledger.undone.get((effect.site, effect.family), ())):
            name, op = self.ledger.callee(site), self.ledger.ops[site]
            if name and self.knowledge.entry(name) is None:
                return self.text(op.start, op.end)
        return effect.family.partition(":")[2]

    def _operand(self, site: int, op: Op, operand: Operand | None) -> str:
        if operand is None or operand.index < 0:
            return ""
        if operand.index == 0:
            return self.target(site)
        text = self._arg(op, operand.index)
        if operand.pointee:
            return text[1:] if text.startswith("&") else f"*{text}"
        return text

    def _arg(self, op: Op, index: int) -> str:
        args: tuple[Expr, ...] = op.args if isinstance(op, CallOp | GuardOp) else ()
        if 1 <= index <= len(args):
            return self.text(args[index - 1].start, args[index - 1].end)
        return "…"

    def target(self, site: int) -> str:
        """The lvalue that a call's result was stored to, as written."""
        op = self.ledger.ops[site]
        if isinstance(op, CallOp) and op.target:
            for later in self.ledger.ops[site + 1 : site + 4]:
                if (
                    isinstance(later, StoreOp)
                    and isinstance(later.value, Name)
                    and later.value.name == op.target
                ):
                    if later.declares and isinstance(later.place, Name):
                        return later.place.name
                    return self.text(later.place.start, later.place.end)
        return "…"

    def call(self, event: Event) -> str:
        """The callee of an event: the hypercall, and the wrapper when there is one."""
        return f"{event.via}()" if event.via else event.hypercalls[0]

    def returned(self, exit_: Exit) -> str:
        """Whether the last operation of a path is a return statement or the closing brace."""
        op = self.ledger.ops[exit_.site]
        assert isinstance(op, ReturnOp | CleanupOp | GuardOp)
        return self.text(op.start, op.end)


class _Names(dict[str, str]):
    """Placeholders that a table row may use; unknown ones stay visible."""

    def __missing__(self, key: str) -> str:
        return "…"


_BY_CALLEE = {
    EffectKind.MEMORY: "memory obtained",
    EffectKind.PUBLISH: "record published",
    EffectKind.COUNT: "count taken",
    EffectKind.PIN: "pinned",
    EffectKind.LOCK: "lock taken",
    EffectKind.REGISTER: "registered",
    EffectKind.ACQUIRE: "acquired from EL2",
    EffectKind.STORE: "field set",
    EffectKind.PAIR: "set up",
}
_GONE = {
    EffectKind.MEMORY: "memory freed",
    EffectKind.PUBLISH: "record withdrawn",
    EffectKind.COUNT: "count dropped",
    EffectKind.PIN: "unpinned",
    EffectKind.LOCK: "lock released",
    EffectKind.REGISTER: "unregistered",
    EffectKind.ACQUIRE: "given back to the host",
    EffectKind.STORE: "field reset",
    EffectKind.PAIR: "torn down",
}
