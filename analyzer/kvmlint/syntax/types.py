"""Types and parameter lists, read from text."""

from __future__ import annotations

import re
from functools import lru_cache

from kvmlint.syntax.ast import Parameter, TypeText
from kvmlint.syntax.dialect import Dialect
from kvmlint.syntax.heads import RawHead

_TYPE_WORDS = """
struct union enum unsigned signed int char void long short float double const volatile _Bool
bool __signed__ __const __volatile__ typeof __typeof__ __typeof typeof_unqual __int128
__unqual_scalar_typeof _Complex __auto_type restrict _Atomic
"""
TYPE_WORDS = frozenset(_TYPE_WORDS.split())
"""Words that begin a type wherever an expression could stand."""

STORAGE = frozenset(
    ["static", "extern", "register", "inline", "auto", "typedef", "_Thread_local", "__thread"]
)
_TAGS = frozenset(["struct", "union", "enum"])
_TOKEN = re.compile(r"[^\W\d]\w*|\d\w*|\.\.\.|\S")


@lru_cache(maxsize=4096)
def type_text(raw: str, attributes: frozenset[str]) -> TypeText:
    """``raw`` with single spaces, without storage words and ``attributes``, stars joined:
    'struct kvm *', 'void **'."""
    return _join([one for one in _TOKEN.findall(raw) if one not in attributes])


def _join(tokens: list[str]) -> TypeText:
    out = before = ""
    for token in tokens:
        if token in STORAGE:
            continue
        wordy = token[0].isalnum() or token[0] == "_"
        last = out[-1:]
        if out and (
            (wordy and (last.isalnum() or last in "_*)}"))
            or (token in "*{}" and last not in "*(")
            or (token == "(" and last not in "(*)" and "typeof" not in before)
            or (wordy and last in ";{,")
        ):
            out += " "
        out += token
        before = token
    return out


def _strip(tokens: list[tuple[int, str]], dialect: Dialect) -> list[tuple[int, str]]:
    """Without attributes and their arguments."""
    out: list[tuple[int, str]] = []
    index = 0
    while index < len(tokens):
        word = tokens[index][1]
        if word in dialect.attributes:
            index += 1
        elif word in dialect.called_attributes or word in dialect.cleanups:
            index += 1
            if index < len(tokens) and tokens[index][1] == "(":
                index = _matching(tokens, index) + 1
        else:
            out.append(tokens[index])
            index += 1
    return out


def _matching(tokens: list[tuple[int, str]], at: int) -> int:
    depth = 0
    for index in range(at, len(tokens)):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(tokens[index][1], 0)
        if depth == 0:
            return index
    return len(tokens) - 1


def _tokens(text: bytes, start: int, end: int) -> list[tuple[int, str]]:
    piece = text[start:end].decode("latin-1")
    return [(start + m.start(), m.group()) for m in _TOKEN.finditer(piece)]


def _split(tokens: list[tuple[int, str]], separator: str) -> list[list[tuple[int, str]]]:
    parts: list[list[tuple[int, str]]] = [[]]
    index = 0
    while index < len(tokens):
        if tokens[index][1] in ("(", "[", "{"):
            close = _matching(tokens, index)
            parts[-1].extend(tokens[index : close + 1])
            index = close + 1
            continue
        if tokens[index][1] == separator:
            parts.append([])
        else:
            parts[-1].append(tokens[index])
        index += 1
    return parts


def returns(text: bytes, head: RawHead, dialect: Dialect) -> TypeText:
    """The return type ('' for a macro head like SYSCALL_DEFINE)."""
    tokens = _strip(_tokens(text, head.start, min(head.name_start, head.lparen)), dialect)
    words = [word for _, word in tokens]
    if head.lparen < head.name_start:  # SYSCALL_DEFINE1(name, …)
        words = words[:-1]
    elif words[-2:] == ["(", "*"]:  # int (*name(…))(…)
        return _join(words[:-2]) + " (*)()"
    elif words[-1:] == ["("]:  # FNAME(name)(args)
        words = words[:-2]
    return _join(words)


def parameters(text: bytes, head: RawHead, dialect: Dialect) -> tuple[Parameter, ...]:
    """The parameters of a definition; '(void)' and '()' have none, '...' is one without a name."""
    parts = _split(_strip(_tokens(text, head.lparen + 1, head.rparen), dialect), ",")
    parts = [part for part in parts if part]
    if head.paired:
        parts = [[*kind, *name] for kind, name in zip(parts[1::2], parts[2::2], strict=False)]
    elif head.name_start > head.lparen:  # DEFINE_IDTENTRY(name)
        parts = parts[1:] if parts and parts[0][0][0] == head.name_start else parts
    if len(parts) == 1 and [word for _, word in parts[0]] == ["void"]:
        return ()
    found = [_parameter(part) for part in parts]
    if not head.old_style:
        return tuple(found)
    types: dict[str, TypeText] = {}
    for declaration in _split(_tokens(text, head.rparen + 1, head.body), ";"):
        pieces = _split(_strip(declaration, dialect), ",")
        if not pieces[0]:
            continue
        one = _parameter(pieces[0])
        base = one.type.rstrip("*[] ")
        types[one.name] = one.type
        for piece in pieces[1:]:
            if piece:
                more = _parameter([(0, "int"), *piece])
                types[more.name] = base + more.type.removeprefix("int")
    return tuple(
        Parameter(p.start, p.end, p.name or p.type, types.get(p.name or p.type, "int"))
        for p in found
    )


def _parameter(part: list[tuple[int, str]]) -> Parameter:
    start = part[0][0]
    end = part[-1][0] + len(part[-1][1])
    words = [word for _, word in part]
    suffix = ""
    if "(" in words[1:]:
        # A function pointer: int (*name)(int), or a function: int name(int).
        at = words.index("(", 1)
        close = _matching(part, at)
        inner = words[at + 1 : close]
        if inner[:1] == ["*"]:
            named = [word for word in inner if word[0].isalpha() or word[0] == "_"]
            name = named[-1] if named else ""
            stars = "".join(word for word in inner if word in ("*", "[", "]"))
            return Parameter(start, end, name, f"{_join(words[:at])} ({stars})()")
        if words[0] not in ("typeof", "__typeof__"):
            return Parameter(start, end, words[at - 1], f"{_join(words[: at - 1])} (*)()")
    while words and words[-1] == "]" and "[" in words:
        words = words[: len(words) - 1 - words[::-1].index("[")]
        suffix += "[]"
    name = ""
    if len(words) > 1 and (words[-1][0].isalpha() or words[-1][0] == "_"):
        before = [word for word in words[:-1] if word not in ("const", "volatile")]
        tagged = len(before) == 1 and before[0] in _TAGS
        if words[-1] not in TYPE_WORDS and before and not tagged:
            name = words.pop()
    kind = _join(words)
    return Parameter(start, end, name, f"{kind} {suffix}" if suffix else kind)
