"""Property tests of what looks at text: whatever the bytes, no crash, no hang, the same twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz import corpus
from tests.fuzz.cases import share
from tests.fuzz.figures import Figures
from tests.fuzz.fragments import units
from tests.fuzz.mutate import mutated

from kvmlint.cfg.build import TooLarge, build
from kvmlint.source import SourceFile
from kvmlint.syntax.unit import Dialect, TooDeep, parse

pytestmark = pytest.mark.fuzz

DIALECT = Dialect.default()
WORLDS = (frozenset[str](), frozenset(("__KVM_NVHE_HYPERVISOR__",)))


def understood(data: bytes) -> list[object]:
    """All that the syntax and the graphs hold of a file, in the world that its length picks."""
    found: list[object] = []
    for world in WORLDS[len(data) % 2 :][:1]:
        unit = parse(SourceFile("a.c", data), DIALECT, world)
        for head in unit.heads:
            assert 0 <= head.start <= head.name_start < head.end <= len(data)
            found += [head, unit.called(head)]
            try:
                graph = build(unit.lower(head))
            except (TooDeep, TooLarge):
                continue
            assert len(graph.ops) == len(graph.edges)
            found += [graph.ops, graph.edges, graph.live_in]
        for problem in unit.problems:
            assert 0 <= problem.start <= problem.end <= len(data) + 1
        found.append(unit.problems)
    return found


@share(61)
@given(data=mutated(corpus.everything()))
def test_syntax(figures: Figures, data: bytes) -> None:
    with figures.case("syntax"):
        understood(data)


@share(3)
@given(data=mutated(corpus.everything()))
def test_syntax_twice(figures: Figures, data: bytes) -> None:
    with figures.case("twice"):
        assert repr(understood(data)) == repr(understood(data))


@share(10)
@given(data=st.one_of(st.binary(max_size=400), st.text(max_size=300).map(str.encode)))
def test_noise(figures: Figures, data: bytes) -> None:
    with figures.case("noise"):
        understood(data)


@share(4)
@given(data=units)
def test_written(figures: Figures, data: bytes) -> None:
    with figures.case("written"):
        understood(data)
