"""Mutations of C text, each drawn by hypothesis, so that a failing case shrinks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

_TOKEN = re.compile(rb'[A-Za-z_]\w*|\d\w*|"[^"\n]*"|\s+|->|[=!<>]=|&&|\|\||\+\+|--|.', re.DOTALL)

_C = r"""
{ } ( ) [ ] ; , : ? = == != < > <= >= + - * / % & | ^ ~ ! && || ++ -- += |= -> . ... ' " \ @ ` $
if else while do for switch case default return goto break continue sizeof typeof static struct
enum union typedef int void bool unsigned char const volatile inline __free(kfree) asm _Generic
0 1 -1 0x7fffffff 4294967296 'a' "s" NULL true false -ENOMEM -EINVAL ret err out a p i
kvm_call_hyp_nvhe(__pkvm_host_share_hyp,p) kvm_call_hyp(__x) pkvm_host kzalloc(1,2) kfree(p)
mutex_lock(&l) mutex_unlock(&l) guard(mutex)(&l) scoped_guard( list_for_each_entry(p,&h,n)
for_each_cpu(i,m) WARN_ON(ret) IS_ERR(p) PTR_ERR(p) ERR_PTR(-1) refcount_inc(&p->r) atomic_inc(&a)
rb_erase(&p->n,&r) list_add(&p->n,&h) is_protected_kvm_enabled() unlikely(ret) BUG() out: default:
"""
WORDS = (
    *(word.encode() for word in _C.split()),
    b"\n#if A\n", b"\n#else\n", b"\n#endif\n", b"\n#define X(a) a\n", b"/*", b"*/", b"//", b"\\\n",
    b"\n}\n", b"\n{\n", b"\r\n", b"\t", b"\n", b" ", b"\xff", b"\xc3\xa9", b"\xf0\x9f\x98\x80",
    b"\x1b[31m", b"({", b"})", b"goto out;", b"if (ret) ", b"else ", b"return ret;", b"do {",
    b"} while (0);", b"/* kvmlint: allow missing-rollback -- why */", b"int f(void)\n{\n",
)  # fmt: skip

Mutation = Callable[[bytes, int, int, bytes], bytes]
"""Of a text, at a place, with a number and a word to use."""


def _tokens(text: bytes) -> list[bytes]:
    return _TOKEN.findall(text)


def _truncate(text: bytes, place: int, number: int, word: bytes) -> bytes:
    return text[:place]


def _behead(text: bytes, place: int, number: int, word: bytes) -> bytes:
    return text[place:]


def _insert(text: bytes, place: int, number: int, word: bytes) -> bytes:
    return text[:place] + word + text[place:]


def _cut(text: bytes, place: int, number: int, word: bytes) -> bytes:
    return text[:place] + text[place + 1 + number % 40 :]


def _repeat(text: bytes, place: int, number: int, word: bytes) -> bytes:
    piece = text[place : place + 1 + number % 60]
    return text[:place] + piece * (2 + number % 5) + text[place:]


def _move(text: bytes, place: int, number: int, word: bytes) -> bytes:
    end = place + 1 + number % 80
    rest = text[:place] + text[end:]
    at = number * 7919 % (len(rest) + 1)
    return rest[:at] + text[place:end] + rest[at:]


def _bit(text: bytes, place: int, number: int, word: bytes) -> bytes:
    if place >= len(text):
        return text
    return text[:place] + bytes([text[place] ^ (1 << number % 8)]) + text[place + 1 :]


def _drop_token(text: bytes, place: int, number: int, word: bytes) -> bytes:
    tokens = _tokens(text)
    return b"".join(tokens[: place % (len(tokens) + 1)] + tokens[place % (len(tokens) + 1) + 1 :])


def _swap_token(text: bytes, place: int, number: int, word: bytes) -> bytes:
    tokens = _tokens(text)
    if tokens:
        tokens[place % len(tokens)] = word
    return b"".join(tokens)


def _drop_line(text: bytes, place: int, number: int, word: bytes) -> bytes:
    lines = text.split(b"\n")
    del lines[place % len(lines)]
    return b"\n".join(lines)


def _double_line(text: bytes, place: int, number: int, word: bytes) -> bytes:
    lines = text.split(b"\n")
    lines.insert(number % len(lines), lines[place % len(lines)])
    return b"\n".join(lines)


def _rename(text: bytes, place: int, number: int, word: bytes) -> bytes:
    words = sorted(set(re.findall(rb"[A-Za-z_]\w+", text)))
    if len(words) < 2:
        return text
    old, new = words[place % len(words)], words[number % len(words)]
    return re.sub(rb"\b" + old + rb"\b", new, text)


MUTATIONS: Sequence[Mutation] = (
    _insert, _truncate, _behead, _cut, _repeat, _move, _bit, _drop_token, _swap_token, _drop_line,
    _double_line, _rename,
)  # fmt: skip

_STEP = st.tuples(
    st.sampled_from(MUTATIONS),
    st.integers(0, 1 << 16),
    st.integers(0, 255),
    st.sampled_from(WORDS),
)


def mutated(corpus: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A piece of the corpus after up to six mutations."""

    def apply(piece: int, steps: list[tuple[Mutation, int, int, bytes]]) -> bytes:
        text = corpus[piece]
        for mutation, place, number, word in steps:
            text = mutation(text, place % (len(text) + 1), number, word)
        return text

    pieces = st.integers(0, len(corpus) - 1)
    return st.builds(apply, pieces, st.lists(_STEP, min_size=1, max_size=6))
