"""Frozen values as JSON and back, for a store that outlives the process. Never pickle: what is in a
cache folder is data, whoever put it there."""

from __future__ import annotations

import json
import types
from collections.abc import Hashable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

Json: TypeAlias = "str | int | bool | list[Json] | None"

T = TypeVar("T")


def write(value: object) -> str:
    """A frozen dataclass of texts, numbers, enums, tuples and such dataclasses. A dataclass is the
    list of its fields. TypeError: something else."""
    return json.dumps(_plain(value), ensure_ascii=True, separators=(",", ":"))


def read(kind: type[T], text: str) -> T:
    """What ``write`` made of a ``kind``. ValueError: it is something else, or broken."""
    try:
        return cast("T", _made(kind, cast("Json", json.loads(text))))
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from None


def _plain(value: object) -> Json:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return [_plain(getattr(value, field.name)) for field in fields(value)]
    raise TypeError(f"a {type(value).__name__} can't be kept")


@cache
def _kinds(kind: Hashable) -> tuple[object, ...]:
    assert isinstance(kind, type)
    hints = get_type_hints(kind)
    return tuple(hints[field.name] for field in fields(kind))


def _made(kind: object, raw: Json) -> object:
    if get_origin(kind) is tuple:
        if not isinstance(raw, list):
            raise ValueError("no list")
        return tuple(_made(get_args(kind)[0], item) for item in raw)
    if get_origin(kind) is types.UnionType:
        if raw is None:
            return None
        return _made(next(one for one in get_args(kind) if one is not types.NoneType), raw)
    if not isinstance(kind, type):
        raise ValueError("unknown kind")
    if kind in (str, int, bool):
        if type(raw) is not kind:
            raise ValueError(f"no {kind.__name__}")
        return raw
    if issubclass(kind, Enum):
        return kind(raw)
    kinds = _kinds(cast("Hashable", kind))
    if not isinstance(raw, list) or len(raw) != len(kinds):
        raise ValueError(f"no {kind.__name__}")
    return kind(*map(_made, kinds, raw))
