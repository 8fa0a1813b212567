"""The control flow graph of one function, and what is computed once from its shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kvmlint.cfg.ops import CallOp, CleanupOp, GuardOp, HavocOp, Op, ReturnOp, StoreOp, Test
from kvmlint.cfg.order import rank_blocks
from kvmlint.syntax.ast import (
    Binary,
    Call,
    Cast,
    Expr,
    Field,
    Function,
    Index,
    InitList,
    Name,
    Unary,
)

if TYPE_CHECKING:
    import networkx as nx


def subexpressions(expr: Expr) -> Iterator[Expr]:
    """The expression and every operand in it, outermost first."""
    stack: list[Expr] = [expr]
    while stack:
        node = stack.pop()
        yield node
        match node:
            case Field(base=base):
                stack.append(base)
            case Index(base=base, index=index):
                stack += (index, base)
            case Unary(operand=operand) | Cast(operand=operand):
                stack.append(operand)
            case Binary(left=left, right=right):
                stack += (right, left)
            case Call(func=func, args=args):
                stack += (*reversed(args), func)
            case InitList(items=items):
                stack += (value for _, value in reversed(items))
            case _:
                pass


def names(expr: Expr) -> Iterator[str]:
    """Names read by an operand."""
    return (node.name for node in subexpressions(expr) if isinstance(node, Name))


def mentioned(expr: Expr) -> frozenset[str]:
    """Names of an operand and of its fields, the latter as '.field'."""
    found: set[str] = set()
    for part in subexpressions(expr):
        match part:
            case Name(name=name):
                found.add(name)
            case Field(name=name):
                found.add("." + name)
            case _:
                pass
    return frozenset(found)


def read_by(op: Op) -> Iterator[Expr]:
    """Operands an operation reads; a local that it overwrites is not among them."""
    match op:
        case CallOp(func=func, args=args):
            yield func
            yield from args
        case StoreOp(place=place, value=value):
            if not isinstance(place, Name):
                yield place
            yield value
        case HavocOp(place=place, source=source):
            if not isinstance(place, Name):
                yield place
            yield from source
        case GuardOp(args=args):
            yield from args
        case CleanupOp(variable=variable):
            yield variable
        case ReturnOp(value=value):
            if value is not None:
                yield value


def written_by(op: Op) -> str:
    """The local that an operation overwrites, or ''."""
    match op:
        case CallOp(target=target):
            return target
        case StoreOp(place=Name(name=name)) | HavocOp(place=Name(name=name)):
            return name
        case _:
            return ""


def stored_by(op: Op) -> str:
    """The field ('.name', of whatever object) or variable that an operation stores to, or ''."""
    if not isinstance(op, StoreOp):
        return ""
    place = op.place
    while isinstance(place, Index):
        place = place.base
    match place:
        case Field(name=name):
            return f".{name}"
        case Name(name=name):
            return name
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class Edge:
    """A way out of a block; every test holds on it."""

    target: int
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A natural loop: its head, the blocks of its body (head included)."""

    head: int
    body: frozenset[int]


@dataclass(slots=True)
class Cfg:  # type: ignore[explicit-any]  # networkx's stubs: attributes are Any
    """One function's graph. Nodes are ints, ``graph.nodes[n]['ops']`` the operations, and
    ``graph.edges[a, b]['tests']`` the conditions. ``exit`` has no operations; every path that
    returns ends there. Derived views are plain tuples, so that no hot loop reads attributes."""

    function: Function
    graph: nx.DiGraph[int]  # type: ignore[explicit-any]
    entry: int
    exit: int
    locals: dict[str, str]
    statics: frozenset[str]
    ops: tuple[tuple[Op, ...], ...] = field(init=False)
    edges: tuple[tuple[Edge, ...], ...] = field(init=False)
    order: tuple[int, ...] = field(init=False)
    loops: tuple[Loop, ...] = field(init=False)
    live_in: tuple[frozenset[str], ...] = field(init=False)
    read_later: tuple[frozenset[str], ...] = field(init=False)
    escaping: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        count = max(self.graph.nodes) + 1
        ops: list[tuple[Op, ...]] = [()] * count
        edges: list[tuple[Edge, ...]] = [()] * count
        for node in self.graph.nodes:
            ops[node] = tuple(self.graph.nodes[node]["ops"])
            edges[node] = tuple(
                Edge(target, self.graph.edges[node, target]["tests"])
                for target in sorted(self.graph.successors(node))
            )
        self.ops, self.edges = tuple(ops), tuple(edges)
        self._loops()
        self.order = rank_blocks(
            [[edge.target for edge in out] for out in self.edges],
            self.entry,
            {loop.head: loop.body for loop in self.loops},
        )
        self._liveness(count)

    def _loops(self) -> None:
        """Natural loops from back edges; a ``goto`` that makes an irreducible loop has none."""
        import networkx as nx

        idom = nx.immediate_dominators(self.graph, self.entry)
        bodies: dict[int, set[int]] = {}
        for node, target in self.graph.edges:
            walk = node
            while walk != target and idom.get(walk, walk) != walk and idom[walk] is not None:
                walk = idom[walk]
            if walk != target:
                continue
            body = bodies.setdefault(target, {target})
            stack = [node]
            while stack:
                inner = stack.pop()
                if inner not in body:
                    body.add(inner)
                    stack.extend(self.graph.predecessors(inner))
        self.loops = tuple(Loop(head, frozenset(bodies[head])) for head in sorted(bodies))

    def _liveness(self, count: int) -> None:
        """Locals live at block entry, and every name, field and callee read at or after it."""
        use: list[set[str]] = [set() for _ in range(count)]
        kill: list[set[str]] = [set() for _ in range(count)]
        mention: list[set[str]] = [set() for _ in range(count)]
        escaping: set[str] = set()
        for node in range(count):
            operands: list[Expr] = []
            for op in self.ops[node]:
                reads = list(read_by(op))
                operands += reads
                for operand in reads:
                    use[node].update(name for name in names(operand) if name not in kill[node])
                if written := written_by(op):
                    kill[node].add(written)
            for edge in self.edges[node]:
                for test in edge.tests:
                    operands.append(test.expr)
                    use[node].update(n for n in names(test.expr) if n not in kill[node])
            for operand in operands:
                mention[node] |= mentioned(operand)
                for part in subexpressions(operand):
                    match part:
                        case Unary(op="&", operand=inner):
                            root = inner
                            # &x->member is in what x points to, and lets nobody at x.
                            while isinstance(root, Field | Index) and not (
                                isinstance(root, Field) and root.arrow
                            ):
                                root = root.base
                            if isinstance(root, Name):
                                escaping.add(root.name)
                        case _:
                            pass
        self.escaping = frozenset(escaping & self.locals.keys())
        live: list[frozenset[str]] = [frozenset()] * count
        later: list[frozenset[str]] = [frozenset()] * count
        pending = sorted(self.graph.nodes, key=lambda node: -self.order[node])
        queued = set(pending)
        while pending:
            node = pending.pop(0)
            queued.discard(node)
            targets = [edge.target for edge in self.edges[node]]
            out = frozenset().union(*(live[t] for t in targets)) if targets else frozenset()
            after = frozenset().union(*(later[t] for t in targets)) if targets else frozenset()
            new_live = (out - kill[node]) | use[node]
            new_later = after | mention[node]
            if new_live != live[node] or new_later != later[node]:
                live[node], later[node] = new_live, new_later
                for before in self.graph.predecessors(node):
                    if before not in queued:
                        queued.add(before)
                        pending.append(before)
        self.live_in, self.read_later = tuple(live), tuple(later)
