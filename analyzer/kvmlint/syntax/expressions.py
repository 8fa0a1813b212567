"""Lowers expressions from tree-sitter nodes to our own tree."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from kvmlint.syntax import ast
from kvmlint.syntax.dialect import Dialect
from kvmlint.syntax.marks import Marks
from kvmlint.syntax.selections import Selection
from kvmlint.syntax.types import type_text

if TYPE_CHECKING:
    import tree_sitter

DEEPEST = 200
"""Levels of the lowered tree. Whoever walks it recursively can rely on this."""

_INTEGER = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)[uUlL]*\Z")
_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}


class TooDeep(Exception):  # noqa: N818 - it reads as an outcome
    """A function nested deeper than ``DEEPEST``; ``offset`` is where in the file."""

    def __init__(self, offset: int) -> None:
        super().__init__("nested too deeply to be analysed")
        self.offset = offset


def integer(text: str) -> int | None:
    """Value of an integer or character literal, None for anything else (a float, '$')."""
    if text.startswith("'"):
        return _character(text[1:-1])
    found = _INTEGER.match(text)
    if found is None:
        return None
    digits = found.group(1).lower()
    if digits.startswith("0x"):
        return int(digits, 16)
    if digits.startswith("0b"):
        return int(digits, 2)
    return int(digits, 8 if digits.startswith("0") else 10)


def _character(text: str) -> int | None:
    if len(text) == 1:
        return ord(text)
    if not text.startswith("\\") or len(text) < 2:
        return None
    code = text[1:]
    try:
        if code[0] == "x":
            return int(code[1:], 16)
        if code[0] in "01234567":
            return int(code, 8)
    except ValueError:
        return None
    return _ESCAPES.get(code, ord(code) if len(code) == 1 else None)


class Expressions:
    """Base of the lowering of one body. ``shift``: offset, in the body, of the text that was
    parsed (0 but for fragments); ``base``: offset of the body in the file."""

    def __init__(
        self, data: bytes, masked: bytes, text: bytes, base: int, marks: Marks, dialect: Dialect
    ) -> None:
        self.data = data
        self.masked = masked
        self.text = text
        self.base = base
        self.shift = 0
        self.marks = marks
        self.dialect = dialect
        self.depth = 0
        self.lowered: dict[str, Callable[[tree_sitter.Node], ast.Expr]] = {
            "identifier": self._name,
            "field_identifier": self._name,
            "type_identifier": self._name,
            "primitive_type": self._name,
            "statement_identifier": self._name,
            "true": self._name,
            "false": self._name,
            "null": self._name,
            "number_literal": self._number,
            "char_literal": self._number,
            "string_literal": self._text,
            "concatenated_string": self._text,
            "call_expression": self._call,
            "field_expression": self._field,
            "subscript_expression": self._index,
            "pointer_expression": self._unary,
            "unary_expression": self._unary,
            "update_expression": self._update,
            "binary_expression": self._binary,
            "assignment_expression": self._assign,
            "conditional_expression": self._conditional,
            "comma_expression": self._comma,
            "cast_expression": self._cast,
            "compound_literal_expression": self._literal,
            "initializer_list": self._init_list,
            "compound_statement": self._statement_expr,
            "extension_expression": self._last,
        }

    # --- places ------------------------------------------------------------------------------

    def at(self, node: tree_sitter.Node) -> int:
        """Offset of a node in the file."""
        return self.base + self.shift + node.start_byte

    def end(self, node: tree_sitter.Node) -> int:
        """Offset behind a node in the file."""
        return self.base + self.shift + node.end_byte

    def mark(self, node: tree_sitter.Node) -> int:
        """Key of a node in the marks: its offset in the body."""
        return self.shift + node.start_byte

    def source(self, start: int, end: int) -> str:
        """Original text of a region of the file."""
        return self.data[start:end].decode("utf-8", "replace")

    def deeper(self, node: tree_sitter.Node) -> None:
        """Counts one level; raises TooDeep."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise TooDeep(self.at(node))

    def block(self, node: tree_sitter.Node) -> ast.Block:
        """A compound statement."""
        raise NotImplementedError

    # --- expressions -------------------------------------------------------------------------

    def expr(self, node: tree_sitter.Node) -> ast.Expr:
        """Any expression; what isn't known is Opaque."""
        kind = node.type
        while kind == "parenthesized_expression":
            inner = node.named_children
            if not inner:
                return self._opaque(node)
            node = inner[0]
            kind = node.type
        if kind == "identifier":
            return self._name(node)
        lower = self.lowered.get(kind)
        if lower is None:
            return self._opaque(node)
        self.deeper(node)
        result = lower(node)
        self.depth -= 1
        return result

    def child(self, node: tree_sitter.Node, name: str) -> ast.Expr:
        """The lowered child of a field; Opaque when the parser left it out."""
        child = node.child_by_field_name(name)
        return self._opaque(node) if child is None else self.expr(child)

    def _opaque(self, node: tree_sitter.Node) -> ast.Opaque:
        start, end = self.at(node), self.end(node)
        return ast.Opaque(start, end, " ".join(self.source(start, end).split()))

    def _name(self, node: tree_sitter.Node) -> ast.Expr:
        mark = self.shift + node.start_byte
        if mark in self.marks.opaque or mark in self.marks.typeof:
            return self._opaque(node)
        start, end = self.base + mark, self.base + self.shift + node.end_byte
        return ast.Name(start, end, self.data[start:end].decode("utf-8", "replace"))

    def _number(self, node: tree_sitter.Node) -> ast.Expr:
        start, end = self.at(node), self.end(node)
        text = self.source(start, end)
        if text[0] in "+-":  # part of the literal to the parser
            number = ast.Number(start + 1, end, integer(text[1:].lstrip()))
            return ast.Unary(start, end, text[0], number)
        return ast.Number(start, end, integer(text))

    def _text(self, node: tree_sitter.Node) -> ast.Expr:
        return ast.Text(self.at(node), self.end(node))

    def _last(self, node: tree_sitter.Node) -> ast.Expr:
        inner = node.named_children
        return self.expr(inner[-1]) if inner else self._opaque(node)

    def _call(self, node: tree_sitter.Node) -> ast.Expr:
        func = self.child(node, "function")
        holder = node.child_by_field_name("arguments")
        args: list[ast.Expr] = []
        if holder is not None and self.mark(holder) not in self.marks.dropped:
            args = [self.expr(one) for one in holder.named_children]
        if isinstance(func, ast.Name):
            index = self.dialect.type_arguments.get(func.name, -1)
            if 0 <= index < len(args) and isinstance(args[index], ast.Name):
                name = args[index]
                args[index] = ast.Opaque(name.start, name.end, self.source(name.start, name.end))
            selection = self.dialect.selections.get(func.name)
            if selection is not None and len(args) == 1 and isinstance(args[0], ast.Name):
                return self._selected(node, selection, args[0])
        return ast.Call(self.at(node), self.end(node), func, tuple(args))

    def _selected(
        self, node: tree_sitter.Node, selection: Selection, chosen: ast.Name
    ) -> ast.Conditional:
        """``KVM_PGT_FN(f)``: one of two functions."""
        start, end = self.at(node), self.end(node)
        then, other = (ast.Name(start, end, name) for name in selection.names(chosen.name))
        cond: ast.Expr = ast.Call(start, end, ast.Name(start, end, selection.asked), ())
        if selection.negated:
            cond = ast.Unary(start, end, "!", cond)
        return ast.Conditional(start, end, cond, then, other)

    def _field(self, node: tree_sitter.Node) -> ast.Expr:
        field = node.child_by_field_name("field")
        operator = node.child_by_field_name("operator")
        name = "" if field is None else self.source(self.at(field), self.end(field))
        arrow = operator is not None and operator.type == "->"
        base = self.child(node, "argument")
        return ast.Field(self.at(node), self.end(node), base, name, arrow)

    def _index(self, node: tree_sitter.Node) -> ast.Expr:
        base, index = self.child(node, "argument"), self.child(node, "index")
        return ast.Index(self.at(node), self.end(node), base, index)

    def _operator(self, node: tree_sitter.Node) -> str:
        operator = node.child_by_field_name("operator")
        return "" if operator is None else operator.type

    def _unary(self, node: tree_sitter.Node) -> ast.Expr:
        start, end = self.at(node), self.end(node)
        place = self.marks.casts.get(self.mark(node))
        operand = self.child(node, "argument")
        if place is not None:
            raw = self.masked[self.base + place[0] : self.base + place[1]]
            return ast.Cast(start, end, self.type_of(raw), operand)
        operator = self._operator(node)
        if operator == "&" and self.text[self.mark(node) + 1 : self.mark(node) + 2] == b"&":
            return self._opaque(node)  # &&label
        return ast.Unary(start, end, operator, operand)

    def type_of(self, raw: bytes) -> ast.TypeText:
        """A type from masked text."""
        return type_text(raw.decode("latin-1"), self.dialect.attributes)

    def _update(self, node: tree_sitter.Node) -> ast.Expr:
        operator = node.child_by_field_name("operator")
        prefix = operator is not None and operator.start_byte == node.start_byte
        target = self.child(node, "argument")
        return ast.Update(self.at(node), self.end(node), self._operator(node), prefix, target)

    def _binary(self, node: tree_sitter.Node) -> ast.Expr:
        # A chain like a | b | c leans to the left: no recursion for it.
        chain = [node]
        left = node.child_by_field_name("left")
        while left is not None and left.type == "binary_expression":
            chain.append(left)
            self.deeper(left)
            left = left.child_by_field_name("left")
        result = self._opaque(node) if left is None else self.expr(left)
        self.depth -= len(chain) - 1
        for one in reversed(chain):
            right = self.child(one, "right")
            result = ast.Binary(self.at(one), self.end(one), self._operator(one), result, right)
        return result

    def _assign(self, node: tree_sitter.Node) -> ast.Expr:
        target, value = self.child(node, "left"), self.child(node, "right")
        return ast.Assign(self.at(node), self.end(node), self._operator(node), target, value)

    def _conditional(self, node: tree_sitter.Node) -> ast.Expr:
        cond = self.child(node, "condition")
        middle = node.child_by_field_name("consequence")
        then = None if middle is None else self.expr(middle)
        other = self.child(node, "alternative")
        return ast.Conditional(self.at(node), self.end(node), cond, then, other)

    def _comma(self, node: tree_sitter.Node) -> ast.Expr:
        left, right = self.child(node, "left"), self.child(node, "right")
        return ast.Comma(self.at(node), self.end(node), left, right)

    def _cast(self, node: tree_sitter.Node) -> ast.Expr:
        kind = node.child_by_field_name("type")
        raw = b"" if kind is None else self.masked[self.at(kind) : self.end(kind)]
        operand = self.child(node, "value")
        return ast.Cast(self.at(node), self.end(node), self.type_of(raw), operand)

    def _literal(self, node: tree_sitter.Node) -> ast.Expr:
        value = node.child_by_field_name("value")
        items = () if value is None else self._items(value)
        return ast.InitList(self.at(node), self.end(node), items)

    def _init_list(self, node: tree_sitter.Node) -> ast.Expr:
        return ast.InitList(self.at(node), self.end(node), self._items(node))

    def _items(self, node: tree_sitter.Node) -> tuple[tuple[str, ast.Expr], ...]:
        items: list[tuple[str, ast.Expr]] = []
        for one in node.named_children:
            if one.type != "initializer_pair":
                items.append(("", self.expr(one)))
                continue
            designators = one.children_by_field_name("designator")
            value = self.child(one, "value")
            if designators:
                start, end = self.at(designators[0]), self.end(designators[-1])
                designator = "".join(self.source(start, end).split())
            else:  # the old GNU form, `name: value`
                designator = "." + self.source(self.at(one), self.at(one.children[1])).strip()
            items.append((designator, value))
        return tuple(items)

    def _statement_expr(self, node: tree_sitter.Node) -> ast.Expr:
        return ast.StatementExpr(self.at(node), self.end(node), self.block(node))
