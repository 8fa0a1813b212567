"""Lowers declarations of locals, and the macros that declare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvmlint.syntax import ast
from kvmlint.syntax.expressions import Expressions

if TYPE_CHECKING:
    import tree_sitter


class Declarations(Expressions):
    """The part of the lowering that yields ``Declare``."""

    def declaration(self, node: tree_sitter.Node, out: list[ast.Stmt]) -> None:
        """Appends one Declare for each variable; nothing for prototypes, types, __label__."""
        declarators = node.children_by_field_name("declarator")
        kind = node.child_by_field_name("type")
        if not declarators or kind is None:
            return
        base, static = self._base(node, kind, declarators[0])
        if base.startswith("__label__"):
            return
        if base in self.dialect.declaring:
            base = self.dialect.declaring[base][2]
        # IMPRECISE: an array's size is not looked at, nor are calls in it (constant, in practice).
        for index, one in enumerate(declarators):
            value = one.child_by_field_name("value") if one.type == "init_declarator" else None
            inner = one.child_by_field_name("declarator") if one.type == "init_declarator" else one
            name, suffix = self._declarator(inner)
            if name is None:
                continue
            last = index + 1 == len(declarators)
            end = self.end(node) if last else self.end(one)
            out.append(
                ast.Declare(
                    self.at(one) if index else self.at(node),
                    end,
                    self.source(self.at(name), self.end(name)),
                    f"{base} {suffix}" if suffix else base,
                    None if value is None else self.expr(value),
                    self._cleanup_of(node, declarators, index),
                    static,
                )
            )

    def declaring(self, start: int, end: int, expr: ast.Call, macro: str) -> ast.Stmt:
        """A macro that declares a variable: DECLARE_REG(type, name, …), LIST_HEAD(name)."""
        args = expr.args
        kind_at, name_at, kind = self.dialect.declaring.get(macro, (-1, 0, macro))
        static = start - self.base in self.marks.statics
        name = args[name_at] if name_at < len(args) else None
        if not isinstance(name, ast.Name):
            return ast.ExprStmt(start, end, expr)
        if 0 <= kind_at < len(args):
            kind = self.type_of(self.masked[args[kind_at].start : args[kind_at].end])
        return ast.Declare(start, end, name.name, kind, expr, static=static)

    def _base(
        self, node: tree_sitter.Node, kind: tree_sitter.Node, declarator: tree_sitter.Node
    ) -> tuple[ast.TypeText, bool]:
        """The type that the declarators share, and whether they are static."""
        first, behind = self.mark(node), self.mark(declarator)
        words = self.text[first:behind]
        static = b"static" in words.split()
        if any(first <= place < behind for place in self.marks.typeof):
            words = self.masked[self.base + first : self.base + behind]
        brace = words.find(b"{")
        if brace >= 0:
            return self.type_of(words[:brace]) + " {...}", static
        return self.type_of(words), static

    def _cleanup_of(
        self,
        node: tree_sitter.Node,
        declarators: list[tree_sitter.Node],
        index: int,
    ) -> str:
        """The cleanup whose attribute stands behind this declarator's name, or before them all."""
        if not self.marks.cleanups:
            return ""
        one = declarators[index]
        first = self.mark(node) if index == 0 else self.mark(one)
        last = self.shift + node.end_byte
        if index + 1 < len(declarators):
            last = self.mark(declarators[index + 1])
        # A statement expression in the value may declare variables of its own.
        value = one.child_by_field_name("value") if one.type == "init_declarator" else None
        if value is not None:
            last = min(last, self.mark(value))
        for place, function in self.marks.cleanups:
            if first <= place < last:
                return function
            # __cleanup(f) int fd = …: blank, so not part of the declaration to the parser.
            if index == 0 and place < first and not self.text[place:first].strip():
                return function
        return ""

    def _declarator(self, node: tree_sitter.Node | None) -> tuple[tree_sitter.Node | None, str]:
        """The identifier of a declarator (None for a function's prototype) and what it adds to
        the type: stars, '[]', '(*)()'."""
        stars = ""
        suffix = ""
        pointer_to = ""
        while node is not None:
            match node.type:
                case "identifier" | "type_identifier" | "primitive_type" | "field_identifier":
                    return node, pointer_to or stars + suffix
                case "pointer_declarator":
                    stars += "*"
                case "array_declarator":
                    suffix += "[]"
                case "function_declarator":
                    inner = node.child_by_field_name("declarator")
                    if inner is None or inner.type != "parenthesized_declarator":
                        return None, ""
                    pointer_to = (stars + " " if stars else "") + "(*)()"
                case "parenthesized_declarator" | "attributed_declarator":
                    named = node.named_children
                    node = named[0] if named else None
                    continue
                case _:
                    return None, ""
            node = node.child_by_field_name("declarator")
        return None, ""
