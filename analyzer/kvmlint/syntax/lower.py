"""Lowers statements, and whole bodies: the one place where the parser is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import tree_sitter
import tree_sitter_c

from kvmlint.syntax import ast
from kvmlint.syntax.declarations import Declarations
from kvmlint.syntax.dialect import Dialect
from kvmlint.syntax.expressions import TooDeep
from kvmlint.syntax.marks import Normal, Role, drop_around
from kvmlint.syntax.normalise import normalise

_REPAIRS = 12
"""Times that a body is parsed again after giving up the arguments of a macro call."""

_CLASSES = frozenset({"CLASS", "ACQUIRE"})
"""``CLASS(kind, name)(args)`` declares a variable with a destructor (cleanup.h)."""


@dataclass(frozen=True, slots=True)
class Body:
    """A lowered body and the places in it, if any, that the parser didn't understand."""

    block: ast.Block
    errors: tuple[tuple[int, int], ...]


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))


def lower_body(
    data: bytes,
    masked: bytes,
    start: int,
    end: int,
    dialect: Dialect,
    typedefs: frozenset[bytes],
) -> Body:
    """Lowers the body ``start``..``end`` (from '{' to '}'); ``masked`` is the variant's text.
    Raises TooDeep."""
    normal = normalise(masked[start:end], dialect, typedefs)
    tree = _parse(normal)
    lowering = _Statements(data, masked, bytes(normal.text), start, normal.marks, dialect)
    errors: list[tuple[int, int]] = []
    try:
        if tree.root_node.has_error:
            errors = [(start + a, start + b) for a, b in _errors(tree.root_node)]
        block = lowering.body(tree.root_node)
    except RecursionError:
        raise TooDeep(start) from None
    return Body(block, tuple(errors + lowering.errors))


def _parse(normal: Normal) -> tree_sitter.Tree:
    tree = _parser().parse(bytes(normal.text))
    for _ in range(_REPAIRS):
        if not tree.root_node.has_error:
            break
        if not any(drop_around(normal, place) for place, _ in _errors(tree.root_node)):
            break
        tree = _parser().parse(bytes(normal.text))
    return tree


def _errors(root: tree_sitter.Node) -> list[tuple[int, int]]:
    """Regions of the outermost ERROR and MISSING nodes, at most 20."""
    found: list[tuple[int, int]] = []
    stack = [root]
    while stack and len(found) < 20:
        node = stack.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append((node.start_byte, max(node.end_byte, node.start_byte + 1)))
        elif node.has_error:
            stack.extend(reversed(node.children))
    return found


class _Statements(Declarations):
    """Lowering of the statements of one body."""

    errors: list[tuple[int, int]]

    def body(self, root: tree_sitter.Node) -> ast.Block:
        """The function's block: the root's only child when all is well."""
        self.errors = []
        children = root.named_children
        if len(children) == 1 and children[0].type == "compound_statement":
            return self.block(children[0])
        return ast.Block(self.at(root), self.end(root), self._sequence(children))

    def block(self, node: tree_sitter.Node) -> ast.Block:
        self.deeper(node)
        body = self._sequence(node.named_children)
        self.depth -= 1
        return ast.Block(self.at(node), self.end(node), body)

    def _sequence(self, nodes: list[tree_sitter.Node]) -> tuple[ast.Stmt, ...]:
        """Statements of a block; labels and cases give up the statements under them."""
        out: list[ast.Stmt] = []
        stack = nodes[::-1]
        while stack:
            node = stack.pop()
            match node.type:
                case "labeled_statement":
                    label = node.child_by_field_name("label")
                    if label is not None:
                        name = self.source(self.at(label), self.end(label))
                        out.append(ast.Label(self.at(node), self.end(label), name))
                    rest = node.named_children[1:]
                    stack.extend(reversed(rest))
                case "case_statement":
                    stack.extend(reversed(self._case(node, out)))
                case "declaration":
                    self.declaration(node, out)
                case "ERROR" | "else_clause" | "attributed_statement":
                    self.deeper(node)
                    stack.extend(reversed(node.named_children))
                case kind:
                    lower = _LOWER.get(kind)
                    if lower is not None:
                        self.deeper(node)
                        out.append(lower(self, node))
                        self.depth -= 1
                    elif kind in self.lowered and kind not in _TYPE_ONLY:
                        out.append(ast.ExprStmt(self.at(node), self.end(node), self.expr(node)))
        return tuple(out)

    def stmt(self, node: tree_sitter.Node | None, around: tree_sitter.Node) -> ast.Stmt:
        """One statement, as the body of another one."""
        if node is None:
            return ast.Empty(self.end(around), self.end(around))
        lower = _LOWER.get(node.type)
        if lower is not None:
            self.deeper(node)
            result = lower(self, node)
            self.depth -= 1
            return result
        body = self._sequence([node])
        if len(body) == 1:
            return body[0]
        if not body:
            return ast.Empty(self.at(node), self.end(node))
        return ast.Block(self.at(node), self.end(node), body)

    def _case(self, node: tree_sitter.Node, out: list[ast.Stmt]) -> list[tree_sitter.Node]:
        """Appends the label; returns the statements after it."""
        value = node.child_by_field_name("value")
        rest = node.named_children
        first: ast.Expr | None = None
        last: ast.Expr | None = None
        end = self.at(node) + len("default")
        if value is not None:
            rest = rest[1:]
            end = self.end(value)
            operator = value.child_by_field_name("operator")
            if operator is not None and self.mark(operator) in self.marks.ranges:
                first, last = self.child(value, "left"), self.child(value, "right")
            else:
                first = self.expr(value)
        out.append(ast.Case(self.at(node), end, first, last))
        return rest

    # --- statements --------------------------------------------------------------------------

    def compound(self, node: tree_sitter.Node) -> ast.Stmt:
        return self.block(node)

    def expression(self, node: tree_sitter.Node) -> ast.Stmt:
        start, end = self.at(node), self.end(node)
        inner = node.named_children
        if not inner:
            return ast.Empty(start, end)
        expr = self.expr(inner[0])
        match expr:
            case ast.Name(name="fallthrough") | ast.Opaque():
                return ast.Empty(start, end)
            case ast.Call(func=ast.Call(func=ast.Name(name="guard"), args=(kind,)), args=args):
                return ast.Guard(start, end, self.source(kind.start, kind.end), args)
            case ast.Call(
                func=ast.Call(func=ast.Name(name=macro), args=(kind, ast.Name(name=name)))
            ) if macro in _CLASSES:
                word = self.source(kind.start, kind.end)
                destructor = f"class_{word}_destructor"
                return ast.Declare(start, end, name, f"class_{word}_t", expr, destructor)
            case ast.Call(func=ast.Name(name=macro)) if (
                self.mark(node) in self.marks.statics or macro in self.dialect.declaring
            ):
                return self.declaring(start, end, expr, macro)
        return ast.ExprStmt(start, end, expr)

    def if_(self, node: tree_sitter.Node) -> ast.Stmt:
        if self.mark(node) in self.marks.roles:
            return self.while_(node)
        cond = self.child(node, "condition")
        then = self.stmt(node.child_by_field_name("consequence"), node)
        clause = node.child_by_field_name("alternative")
        other = None
        if clause is not None:
            inner = clause.named_children
            other = self.stmt(inner[0] if inner else None, clause)
        return ast.If(self.at(node), self.end(node), cond, then, other)

    def while_(self, node: tree_sitter.Node) -> ast.Stmt:
        start, end = self.at(node), self.end(node)
        mark = self.mark(node)
        marked = self.marks.roles.get(mark)
        cond = node.child_by_field_name("condition")
        child = node.child_by_field_name("body") or node.child_by_field_name("consequence")
        if marked is None:
            test = self.child(node, "condition")
            return ast.While(start, end, test, self.stmt(child, node))
        role, name, has_arguments = marked
        args = self._arguments(cond) if cond is not None and has_arguments else ()
        body = self.stmt(child, node)
        if role is Role.LOOP:
            cursors = []
            # IMPRECISE: an unknown macro may assign any variable that it is given.
            for index in self.dialect.loops.get(name, range(len(args))):
                if index < len(args):
                    arg = args[index]
                    if isinstance(arg, ast.Name):
                        cursors.append(arg.name)
            return ast.LoopMacro(start, end, name, args, tuple(cursors), body)
        kind = self.source(args[0].start, args[0].end) if args else ""
        fail: ast.Stmt | None = None
        rest = args[1:]
        if role is Role.CONDITIONAL_GUARD:
            fail, rest = self._fail(mark), args[2:]
        return ast.ScopedGuard(start, end, kind, rest, body, fail)

    def _arguments(self, cond: tree_sitter.Node) -> tuple[ast.Expr, ...]:
        """The arguments of a macro that was rewritten to a ``while``: one comma expression."""
        inner = cond.named_children
        if not inner:
            return ()
        node = inner[0]
        parts: list[tree_sitter.Node] = []
        while node.type == "comma_expression":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            if left is None or right is None:
                break
            parts.append(left)
            node = right
        parts.append(node)
        return tuple(self.expr(one) for one in parts)

    def _fail(self, mark: int) -> ast.Stmt:
        """The fail statement of a scoped_cond_guard, parsed apart."""
        offset, text = self.marks.fails.get(mark, (0, b""))
        tree = _parser().parse(b"{" + text + b";}")
        shift, self.shift = self.shift, offset - 1
        if tree.root_node.has_error:
            self.errors.append((self.base + offset, self.base + offset + len(text)))
        nodes = [one for top in tree.root_node.named_children[:1] for one in top.named_children]
        body = [one for one in self._sequence(nodes) if not isinstance(one, ast.Empty)]
        self.shift = shift
        if len(body) == 1:
            return body[0]
        place = self.base + offset
        return ast.Block(place, place + len(text), tuple(body))

    def do(self, node: tree_sitter.Node) -> ast.Stmt:
        body = self.stmt(node.child_by_field_name("body"), node)
        return ast.DoWhile(self.at(node), self.end(node), body, self.child(node, "condition"))

    def for_(self, node: tree_sitter.Node) -> ast.Stmt:
        init: list[ast.Stmt] = []
        first = node.child_by_field_name("initializer")
        if first is not None and first.type == "declaration":
            self.declaration(first, init)
        elif first is not None:
            init.append(ast.ExprStmt(self.at(first), self.end(first), self.expr(first)))
        cond, step = node.child_by_field_name("condition"), node.child_by_field_name("update")
        return ast.For(
            self.at(node),
            self.end(node),
            tuple(init),
            None if cond is None else self.expr(cond),
            None if step is None else self.expr(step),
            self.stmt(node.child_by_field_name("body"), node),
        )

    def switch(self, node: tree_sitter.Node) -> ast.Stmt:
        value = self.child(node, "condition")
        body = self.stmt(node.child_by_field_name("body"), node)
        return ast.Switch(self.at(node), self.end(node), value, body)

    def goto(self, node: tree_sitter.Node) -> ast.Stmt:
        label = node.child_by_field_name("label")
        name = ""
        if label is not None and self.mark(label) not in self.marks.computed:
            name = self.source(self.at(label), self.end(label))
        return ast.Goto(self.at(node), self.end(node), name)

    def break_(self, node: tree_sitter.Node) -> ast.Stmt:
        return ast.Break(self.at(node), self.end(node))

    def continue_(self, node: tree_sitter.Node) -> ast.Stmt:
        return ast.Continue(self.at(node), self.end(node))

    def return_(self, node: tree_sitter.Node) -> ast.Stmt:
        inner = node.named_children
        value = self.expr(inner[0]) if inner else None
        return ast.Return(self.at(node), self.end(node), value)


_TYPE_ONLY = frozenset({"type_identifier", "primitive_type", "statement_identifier"})

_LOWER: dict[str, Callable[[_Statements, tree_sitter.Node], ast.Stmt]] = {
    "compound_statement": _Statements.compound,
    "expression_statement": _Statements.expression,
    "if_statement": _Statements.if_,
    "while_statement": _Statements.while_,
    "do_statement": _Statements.do,
    "for_statement": _Statements.for_,
    "switch_statement": _Statements.switch,
    "goto_statement": _Statements.goto,
    "break_statement": _Statements.break_,
    "continue_statement": _Statements.continue_,
    "return_statement": _Statements.return_,
}
