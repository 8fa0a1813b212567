"""Explorations that another version of a tree was explored for: used again only where they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmlint.cfg.graph import Cfg
from kvmlint.codebase import Codebase, Shared
from kvmlint.explore import engine
from kvmlint.explore.engine import Budget, Exploration
from kvmlint.explore.oracle import Oracle
from kvmlint.knowledge import Knowledge, builtin
from kvmlint.knowledge.model import World
from kvmlint.runner import Options, Result, analyse
from kvmlint.source import FolderSources, OverlaySources
from kvmlint_rules import RULES

HOST, EL2 = "arch/arm64/kvm/lend.c", "arch/arm64/kvm/hyp/nvhe/mem.c"
HANDLERS, HEADER = "arch/arm64/kvm/hyp/nvhe/hyp-main.c", "arch/arm64/include/asm/kvm_host.h"
FILES = (HOST, EL2, HANDLERS, HEADER)
CHECKED = "\tret = kvm_call_hyp_nvhe(__demo_host_share_page, pfn, 1);\n\tif (ret) {"

Edit = tuple[str, str, str]
"""File, old text, new text."""

SAME: dict[str, Edit] = {
    "other lines at EL2": (
        EL2,
        "static hyp_spinlock_t",
        "/* One\n * two */\nstatic hyp_spinlock_t",
    ),
    "another callee": (EL2, "\tif (pages > DEMO_MAX_PAGES)\n", "\tif (pages >= DEMO_MAX_PAGES)\n"),
    "a function of its own": (
        HOST,
        "int lend_page(u64",
        "int other(void)\n{\n\treturn 0;\n}\n\nint lend_page(u64",
    ),
    "a comment": (HOST, "/* Bug: EL2 may refuse the limit", "/* EL2 may refuse this limit all"),
    "another name of the entry point": (
        HEADER,
        "\n#else\n",
        "\n#define ask_el2(f, ...) kvm_call_hyp_nvhe(f, ##__VA_ARGS__)\n\n#else\n",
    ),
    "through a new entry point": (
        HOST,
        "\tkvm_call_hyp_nvhe(__demo_set_limit, pages);\n}\n\nint",
        "#define ask_el2(f, ...) kvm_call_hyp_nvhe(f, ##__VA_ARGS__)\n"
        "\task_el2(__demo_set_limit, pages);\n}\n\nint",
    ),
}
"""Nothing of the host behaves in another way."""

OTHER: dict[str, Edit] = {
    "a callee that undoes nothing": (HOST, CHECKED, CHECKED.replace("if (ret)", "if (ret && 0)")),
    "a handler that can fail": (
        HANDLERS,
        "\n\t__demo_flush(pfn);",
        "\n\tcpu_reg(host_ctxt, 1) = __demo_set_limit(pfn);",
    ),
    "a handler that can't fail": (
        HANDLERS,
        "\tcpu_reg(host_ctxt, 1) = __demo_set_limit(pages);",
        "\t__demo_set_limit(pages);",
    ),
}
"""Something does."""


def look(sources: OverlaySources, shared: Shared) -> tuple[Result, int]:
    """Findings in lend.c, and the block visits that they took."""
    code = Codebase(sources, True, "/nowhere", builtin(), shared)
    result = analyse(code, [HOST], Options(), RULES)
    return result, int(dict(result.statistics)["block visits"])


def version(project: Path, *edits: Edit) -> OverlaySources:
    base = FolderSources(project / "fixtures/demo")
    texts = {path: base.read(path).decode() for path in FILES}
    for path, old, new in edits:
        assert texts[path].count(old) == 1, old
        texts[path] = texts[path].replace(old, new)
    return OverlaySources(base, {path: text.encode() for path, text in texts.items()})


@pytest.mark.parametrize("name", [*SAME, *OTHER])
def test_the_same_findings_as_without(project: Path, name: str) -> None:
    edit = {**SAME, **OTHER}[name]
    shared = Shared()
    for sources in (version(project), version(project, edit), version(project)):
        again, anew = look(sources, shared), look(sources, Shared())
        assert again[0].diagnostics == anew[0].diagnostics
        assert again[0].notifications == anew[0].notifications


@pytest.mark.parametrize("name", OTHER)
def test_an_edit_that_matters(project: Path, name: str) -> None:
    def found(sources: OverlaySources) -> set[str]:
        return {d.fingerprint for d in look(sources, Shared())[0].diagnostics}

    assert found(version(project, OTHER[name])) != found(version(project))


@pytest.fixture
def explored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions that are explored from now on."""
    names: list[str] = []

    def explore(
        cfg: Cfg, knowledge: Knowledge, oracle: Oracle, world: World, budget: Budget, origin: str
    ) -> Exploration:
        names.append(cfg.function.name)
        return engine.explore(cfg, knowledge, oracle, world, budget, origin)

    monkeypatch.setattr("kvmlint.module.explore", explore)
    return names


def test_nothing_is_explored_twice(project: Path, explored: list[str]) -> None:
    shared = Shared()
    first = look(version(project), shared)
    assert "lend_page" in explored
    explored.clear()
    second = look(version(project), shared)
    assert explored == []
    assert second[0].diagnostics == first[0].diagnostics


def test_where_an_errno_comes_from_is_el2s_alone(project: Path, explored: list[str]) -> None:
    """The same errnos from other lines: the host's functions are as they were."""
    shared = Shared()
    look(version(project), shared)
    explored.clear()
    look(version(project, SAME["other lines at EL2"]), shared)
    assert set(explored) == {
        "check_holder", "move_pages", "__demo_host_share_page", "__demo_host_unshare_page",
        "__demo_set_limit", "handle___demo_host_share_page", "handle___demo_host_unshare_page",
        "handle___demo_set_limit",
    }  # fmt: skip


def test_a_change_of_the_host_is_nothing_to_el2(project: Path, explored: list[str]) -> None:
    shared = Shared()
    look(version(project), shared)
    explored.clear()
    look(version(project, OTHER["a callee that undoes nothing"]), shared)
    assert "lend_range" in explored
    assert not any(name.startswith(("handle_", "__demo", "move_")) for name in explored)
