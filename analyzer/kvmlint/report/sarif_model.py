"""sarif-om's objects, which have no types, made from typed values, and written as JSON.

sarif-om is the object model only; jschema-to-python, which is meant to write it, leaves out a
``level`` that equals the model's default, so that a rule's own default level would take its place.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import attr
import sarif_om as om

from kvmlint.report.json import Json
from kvmlint.source import Span

SRCROOT = "%SRCROOT%"
ALWAYS_WRITTEN = {"level", "kind"}
"""Members that are written though they equal sarif-om's default."""


def to_json(node: object) -> Json:
    """A sarif-om object, or what is in one, as JSON; members that say nothing are left out."""
    match node:
        case None | bool() | int() | float() | str():
            return node
        case Mapping():
            return {str(key): to_json(value) for key, value in node.items()}
        case Sequence():
            return [to_json(value) for value in node]
        case _:
            kind = type(node)
            if not attr.has(kind):
                raise TypeError(f"no part of a SARIF log: {kind.__name__}")
            members: dict[str, Json] = {}
            for field in attr.fields(kind):
                value = getattr(node, field.name)
                name = str(field.metadata["schema_property_name"])
                # The model's defaults are the schema's; where the schema has none, it has -1.
                if value is not None and (name in ALWAYS_WRITTEN or value != _default(field)):
                    members[name] = to_json(value)
            return members


def _default(field: attr.Attribute[object]) -> object:
    factory = getattr(field.default, "factory", None)
    return factory() if callable(factory) else field.default


def message(text: str) -> om.Message:
    """A message, or the text of a snippet."""
    return om.Message(text=text)


def many(text: str, markdown: str | None = None) -> om.MultiformatMessageString:
    """A text of a rule."""
    return om.MultiformatMessageString(text=text, markdown=markdown)


def artifact(path: str) -> om.ArtifactLocation:
    """A file: relative to the tree, or, outside it, absolute."""
    uri = quote(os.fsencode(posixpath.normpath(path)))
    if uri.startswith("/"):
        return om.ArtifactLocation(uri=f"file://{uri}")
    return om.ArtifactLocation(uri=uri, uri_base_id=SRCROOT)


def folder(path: str) -> om.ArtifactLocation:
    """A folder that relative paths start from."""
    return om.ArtifactLocation(uri=f"file://{quote(os.fsencode(path)).rstrip('/')}/")


def physical(span: Span) -> om.PhysicalLocation:
    """A place in a file."""
    return om.PhysicalLocation(
        artifact_location=artifact(span.path),
        region=om.Region(
            start_line=span.line,
            start_column=span.column,
            end_line=span.end_line,
            end_column=span.end_column,
        ),
    )


def location(span: Span, words: str, id_: int | None = None) -> om.Location:
    """A place with a word about it; ``id_`` is what links in messages lead to."""
    return om.Location(
        id=-1 if id_ is None else id_,
        physical_location=physical(span),
        message=message(words) if words else None,
    )
