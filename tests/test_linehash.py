"""The line hash: small files by hand, any file against a second, slower computation."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmlint.report.linehash import WINDOW, line_hashes

END = 0xFFFF


def polynomial(units: list[int]) -> int:
    """The hash of 100 code units, from its definition: the first one weighs 37**99."""
    assert len(units) == WINDOW
    return sum(unit * pow(37, WINDOW - 1 - n, 2**64) for n, unit in enumerate(units)) % 2**64


def slowly(text: str) -> dict[int, str]:
    """Each line's hash computed anew from the 100 units that begin there.

    Only for texts in which no blank stands between CR and LF: there this normalises more.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    squeezed = [line.replace(" ", "").replace("\t", "") for line in lines]
    starts: list[int] = []
    units: list[int] = []
    for number, line in enumerate(squeezed):
        starts.append(len(units))
        raw = line.encode("utf-16-be", "surrogatepass")
        units += [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]
        units += [ord("\n")] if number < len(squeezed) - 1 else [END]
    units += [0] * WINDOW
    seen: Counter[int] = Counter()
    hashes = {}
    for number, start in enumerate(starts, start=1):
        value = polynomial(units[start : start + WINDOW])
        seen[value] += 1
        hashes[number] = f"{value:x}:{seen[value]}"
    return hashes


def test_an_empty_file_is_its_end() -> None:
    assert line_hashes(b"") == {1: f"{END * 37**99 % 2**64:x}:1"}


def test_one_letter() -> None:
    want = (ord("a") * 37**99 + END * 37**98) % 2**64
    assert line_hashes(b"a") == {1: f"{want:x}:1"}
    assert line_hashes(b" \ta \t") == {1: f"{want:x}:1"}


def test_equal_lines_are_counted() -> None:
    # Far from the end, 100 units of equal lines are equal; near it they differ by what follows.
    hashes = line_hashes(b"int a;\n" * 40)
    first = hashes[1].partition(":")[0]
    assert [hashes[n] for n in (1, 2, 3)] == [f"{first}:1", f"{first}:2", f"{first}:3"]
    assert not hashes[40].startswith(first)
    assert len(hashes) == 41


def test_line_ends_and_blanks_do_not_matter() -> None:
    plain = line_hashes(b"if (x) {\n\tf();\n}\n")
    for text in (b"if (x) {\r\n    f();\r\n}\r\n", b"if(x){\rf();\r}\r", b" if (x) {\nf();\n\t}\n"):
        assert line_hashes(text) == plain


def test_only_a_hundred_units_matter() -> None:
    line = b"x" * 99 + b"\n"
    assert line_hashes(line + b"a\n")[1] == line_hashes(line + b"b\n")[1]
    assert line_hashes(b"y" + line[:98] + b"\n")[1] != line_hashes(line)[1]
    assert line_hashes(line[1:] + b"a\n")[1] != line_hashes(line[1:] + b"b\n")[1]


def test_a_blank_between_cr_and_lf_makes_two_lines() -> None:
    assert len(line_hashes(b"a\r \nb")) == 3
    assert len(line_hashes(b"a\r\nb")) == 2


def test_bytes_that_are_not_utf8() -> None:
    assert line_hashes(b"/* \xff */\n") == line_hashes("/* \ufffd */\n".encode())


TEXTS = st.text(st.sampled_from("ab{; \t\n\u00e4\u754c\U0001f600\ufeff\0")) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=300
)


@given(TEXTS, st.sampled_from(["\n", "\r\n"]))
def test_equals_the_definition(text: str, end: str) -> None:
    text = text.replace("\n", end)
    assert line_hashes(text.encode()) == slowly(text)


@pytest.mark.parametrize("text", ["int \u00e4;\r\n\tx\U0001f600\r\n" * 30, "\t\n" * 5, "a" * 500])
def test_equals_the_definition_on_long_texts(text: str) -> None:
    assert line_hashes(text.encode()) == slowly(text)
