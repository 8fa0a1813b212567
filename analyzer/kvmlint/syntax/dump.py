"""A lowered tree as s-expressions: compact, without offsets, for tests and for looking."""

from __future__ import annotations

from dataclasses import fields

from kvmlint.syntax import ast


def dump(node: ast.Node) -> str:
    """One line: ``(Call f (Name x))`` is written ``(call f x)``; a name is its bare word."""
    match node:
        case ast.Name(name=name):
            return name
        case ast.Number(value=value):
            return str(value)
        case ast.Text():
            return '""'
        case ast.Opaque(text=text):
            return f"<{text}>"
        case _:
            parts = [type(node).__name__.lower()]
            for field in fields(node):
                if field.name in ("start", "end", "name_start", "variant"):
                    continue
                value = getattr(node, field.name)
                if value is False or (value == "" and field.name == "cleanup"):
                    continue
                parts.append(field.name if value is True else _value(value))
            return "(" + " ".join(parts) + ")"


def _value(value: object) -> str:
    match value:
        case ast.Node():
            return dump(value)
        case tuple():
            return "[" + " ".join(_value(one) for one in value) + "]"
        case None:
            return "-"
        case _:
            text = str(value)
            return f"'{text}'" if " " in text or not text else text
