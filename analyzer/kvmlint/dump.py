"""What the engine saw: control flow graph and paths of one function, as text or DOT."""

from __future__ import annotations

from pathlib import Path

from kvmlint.cfg.graph import Cfg
from kvmlint.cfg.ops import CallOp, CleanupOp, GuardOp, HavocOp, Op, ReturnOp, StoreOp
from kvmlint.explore.engine import Exploration
from kvmlint.explore.state import Effect, Event
from kvmlint.knowledge import builtin
from kvmlint.knowledge.model import World
from kvmlint.module import GivenUpError, Module
from kvmlint.program import Program
from kvmlint.source import FolderSources, SourceError, SourceFile
from kvmlint.syntax.ast import Binary, Expr, Field, Name, Number, Unary
from kvmlint.tree.extent import find_root
from kvmlint.tree.tree import Tree


class DumpError(SourceError):
    """The function can't be shown; ``str()`` is one line for the user, without the path."""


def _module(path: str, function: str, tree: str | None) -> Module:
    root = Path(tree).resolve() if tree else find_root(Path(path))
    base = root if root is not None else Path.cwd()
    knowledge = builtin()
    kernel = Tree(FolderSources(base), knowledge, root is not None)
    knowledge = knowledge.with_entries(kernel.entries())
    name = Path(path).resolve()
    shown = str(name.relative_to(base)) if name.is_relative_to(base) else str(name)
    world = kernel.world(shown)
    try:
        unit = kernel.unit(shown, world)
    except SourceError as error:
        raise DumpError(str(error)) from None
    module = Program(kernel, knowledge).module(unit, world)
    if function not in module.heads:
        raise DumpError(f"no function '{function}'")
    return module


def dump_cfg(path: str, function: str, tree: str | None, dot: bool) -> str:
    """The basic blocks of every variant of a function. Raises DumpError."""
    module = _module(path, function, tree)
    parts: list[str] = []
    for head in module.heads[function]:
        try:
            cfg = module.cfg(head)
        except GivenUpError as error:
            raise DumpError(f"{function}: {error}") from None
        parts.append(_dot(module.unit.file, cfg) if dot else _text(module.unit.file, cfg))
    return "\n".join(parts)


def _text(file: SourceFile, cfg: Cfg) -> str:
    lines = [f"{cfg.function.name}: entry {cfg.entry}, exit {cfg.exit}"]
    for node in sorted(cfg.graph.nodes, key=lambda n: cfg.order[n]):
        lines.append(f"  block {node}")
        lines.extend(f"    {_op(file, op)}" for op in cfg.ops[node])
        for edge in cfg.edges[node]:
            tests = " and ".join(
                ("" if test.truth else "not ") + _expr(file, test.expr) for test in edge.tests
            )
            lines.append(f"    -> {edge.target}" + (f" when {tests}" if tests else ""))
    return "\n".join(lines) + "\n"


def _dot(file: SourceFile, cfg: Cfg) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\l") + '"'

    lines = [f"digraph {quoted(cfg.function.name)} {{", "  node [shape=box fontname=monospace];"]
    for node in sorted(cfg.graph.nodes):
        label = "\n".join([str(node), *(_op(file, op) for op in cfg.ops[node])]) + "\n"
        lines.append(f"  {node} [label={quoted(label)}];")
    for node in sorted(cfg.graph.nodes):
        for edge in cfg.edges[node]:
            tests = " && ".join(
                _expr(file, test.expr) if test.truth else _denied(_expr(file, test.expr))
                for test in edge.tests
            )
            lines.append(f"  {node} -> {edge.target} [label={quoted(tests)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _expr(file: SourceFile, expr: Expr) -> str:
    match expr:
        case Name(name=name):
            return name
        case Number(value=int(number)) if expr.start == expr.end or _is_step(file, expr):
            return str(number)
        case Binary(op=op, left=left, right=right):
            return f"{_expr(file, left)} {op} {_expr(file, right)}"
        case Unary(op=op, operand=operand):
            return f"{op}{_expr(file, operand)}"
        case Field(base=base, name=name, arrow=arrow):
            return f"{_expr(file, base)}{'->' if arrow else '.'}{name}"
        case _:
            pass
    return " ".join(file.data[expr.start : expr.end].decode("utf-8", "replace").split())


def _is_step(file: SourceFile, expr: Expr) -> bool:
    """Whether a number is the 1 of ``x++``: its place in the file is the whole update."""
    text = file.data[expr.start : expr.end]
    return b"++" in text or b"--" in text


def _denied(text: str) -> str:
    return f"!{text}" if text.replace("->", "").replace(".", "").isidentifier() else f"!({text})"


def _op(file: SourceFile, op: Op) -> str:
    line = file.line_of(op.start)
    match op:
        case CallOp(target=target, func=func, args=args, discarded=discarded):
            call = f"{_expr(file, func)}({', '.join(_expr(file, arg) for arg in args)})"
            how = f"  [{discarded} discard]" if discarded else ""
            return f"{line}: {target + ' = ' if target else ''}{call}{how}"
        case StoreOp(place=place, value=value):
            return f"{line}: {_expr(file, place)} = {_expr(file, value)}"
        case HavocOp(place=place):
            return f"{line}: {_expr(file, place)} = ?"
        case GuardOp(kind=kind, enter=enter):
            return f"{line}: guard({kind}) {'begins' if enter else 'ends'}"
        case CleanupOp(function=function, variable=variable):
            return f"{line}: __free({function}) of {_expr(file, variable)}"
        case ReturnOp(value=value):
            return f"{line}: return{' ' + _expr(file, value) if value is not None else ''}"


def dump_paths(path: str, function: str, tree: str | None) -> str:
    """Every way a function returns: outcome, hypercalls, effects, marks. Raises DumpError."""
    module = _module(path, function, tree)
    try:
        explorations = module.explorations(function)
    except GivenUpError as error:
        raise DumpError(f"{function}: {error}") from None
    return "\n".join(_paths(module, found) for found in explorations)


def _paths(module: Module, found: Exploration) -> str:
    file = module.unit.file
    world = "EL2" if found.world is World.EL2 else "host"
    lines = [f"{found.cfg.function.name}: {len(found.exits)} exits, {found.visits} visits, {world}"]

    def where(site: int) -> str:
        return str(file.line_of(found.ledger.ops[site].start)) if site >= 0 else "?"

    for exit_ in found.exits:
        value = exit_.value
        shown = "" if value is None else f" {value.key}"
        if value is not None:
            shown += f" {found.evaluator.fact(exit_.state, value)}"
        lines.append(f"  {exit_.kind.value}{shown}  (line {where(exit_.site)})")
        lines.append("    blocks " + " ".join(map(str, exit_.trail)))
        for event in sorted(exit_.state.events, key=Event.order):
            outcome = "FAILED" if event.failed else "SUCCEEDED"
            old = " (earlier turn)" if event.old else ""
            last = " <- last" if event == exit_.state.last else ""
            names = ", ".join(event.hypercalls) + (f" in {event.via}()" if event.via else "")
            lines.append(f"    {where(event.site)}: {names} {outcome}{old}{last}")
        for effect in sorted(exit_.state.effects, key=Effect.order):
            sign = "+" if effect.building else "-"
            more = [
                word
                for word, holds in (
                    ("earlier turn", effect.old),
                    ("many", effect.many),
                    ("weak", effect.weak),
                    (f"handed to {effect.handed}", bool(effect.handed)),
                    (f"via {effect.via}()", bool(effect.via)),
                )
                if holds
            ]
            after = " ".join(
                f"{where(site)}{'!' if failed else ''}" for site, failed in sorted(effect.followed)
            )
            lines.append(
                f"    {where(effect.site)}: {sign}{effect.family} {effect.resource.key}"
                + (f" [{', '.join(more)}]" if more else "")
                + (f" followed by {after}" if after else "")
            )
        lines.extend(
            f"    {where(mark.site)}: {mark.name} {mark.about} {mark.detail}".rstrip()
            for mark in sorted(exit_.state.marks)
        )
    return "\n".join(lines) + "\n"
