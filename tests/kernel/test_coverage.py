"""Nothing of the real folders is lost between the text and the lowered tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from kvmlint.source import FolderSources, SourceFile
from kvmlint.syntax import ast
from kvmlint.syntax.scan import scan_calls, scan_functions
from kvmlint.syntax.unit import Dialect, Unit, parse

FOLDERS = ("arch/arm64/kvm", "virt/kvm")
ENTRY_POINTS = ("kvm_call_hyp", "kvm_call_hyp_ret", "kvm_call_hyp_nvhe", "arm_smccc_1_1_hvc")
WORLDS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({"__KVM_NVHE_HYPERVISOR__"}),
    frozenset({"__KVM_VHE_HYPERVISOR__"}),
)


def walk(top: object) -> Iterator[ast.Node]:
    """All nodes below and including ``top``."""
    stack = [top]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(node)
        elif isinstance(node, ast.Node):
            yield node
            stack.extend(getattr(node, field.name) for field in fields(node))


def files(tree: Path, *folders: str) -> Iterator[SourceFile]:
    sources = FolderSources(tree)
    for folder in folders:
        for path in sources.walk(folder, (".c", ".h")):
            yield SourceFile(path, sources.read(path))


def check(file: SourceFile) -> tuple[int, int, list[str]]:
    """(functions, call sites, what is wrong) of one file over all worlds."""
    units: list[Unit] = [parse(file, Dialect.default(), world) for world in WORLDS]
    bodies: list[tuple[int, int, int]] = []
    calls: set[int] = set()
    wrong: list[str] = []
    for unit in units:
        for head in unit.heads:
            function = unit.lower(head)
            bodies.append((head.name_start, head.start, head.end))
            for node in walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    calls.add(node.start)
                if isinstance(node, ast.Name):
                    text = file.data[node.start : node.end].decode()
                    if text != node.name:
                        wrong.append(f"{file.path}: {node.name} at {node.start} reads {text!r}")
        wrong.extend(
            f"{file.path}:{file.line_of(one.start)}: {one.message} in {one.function!r}"
            for one in unit.problems
        )
    functions = scan_functions(file.data)
    for name, offset in functions:
        if not any(offset == at or start <= offset < end for at, start, end in bodies):
            wrong.append(f"{file.path}:{file.line_of(offset)}: no function {name}")
    sites = scan_calls(file.data, ENTRY_POINTS)
    for name, offset in sites:
        if offset not in calls:
            wrong.append(f"{file.path}:{file.line_of(offset)}: no call of {name}")
    return len(functions), len(sites), wrong


def check_all(tree: Path, *folders: str) -> tuple[int, int, list[str]]:
    functions = sites = 0
    wrong: list[str] = []
    for file in files(tree, *folders):
        more_functions, more_sites, more_wrong = check(file)
        functions += more_functions
        sites += more_sites
        wrong.extend(more_wrong)
    return functions, sites, wrong


@pytest.mark.kernel
def test_everything_of_6_12_is_covered(kernel_6_12: Path) -> None:
    functions, sites, wrong = check_all(kernel_6_12, *FOLDERS)
    assert wrong == []
    # The scan itself must have seen the folder: about 2,250 definitions, 29 call sites.
    assert functions > 2000
    assert sites >= 25


@pytest.mark.kernel
def test_everything_of_6_1_is_covered(kernel_6_1: Path) -> None:
    functions, sites, wrong = check_all(kernel_6_1, *FOLDERS)
    assert wrong == []
    assert functions > 1500
    assert sites >= 20


def lost_calls(unit: Unit) -> list[str]:
    """Names that the text of a body calls and its lowered tree doesn't mention."""
    dialect = unit.dialect
    known = dialect.attributes | dialect.called_attributes | dialect.cleanups
    known |= dialect.opaque_calls | {"guard", "scoped_guard", "asm"}
    lost: list[str] = []
    for head in unit.heads:
        seen: set[str] = set()
        hidden = ""
        for node in walk(unit.lower(head).body):
            match node:
                case ast.Call(func=ast.Name(name=name) | ast.Field(name=name)):
                    seen.add(name)
                case ast.LoopMacro(name=name):
                    seen.add(name)
                case ast.Opaque(text=text):
                    hidden += text + " "
        missing = unit.called(head) - seen - known
        lost.extend(
            f"{unit.file.path}: {head.name}: {name}"
            for name in sorted(missing)
            if f"{name}(" not in hidden and name not in ASSEMBLER
        )
    return lost


ASSEMBLER = {"ALTERNATIVE", "ARM64_LSE_ATOMIC_INSN", "__nops"}
"""Macros that stand between the strings of an asm statement."""


@pytest.mark.kernel
def test_no_call_of_6_12_is_lost(kernel_6_12: Path) -> None:
    lost: list[str] = []
    for file in files(kernel_6_12, *FOLDERS):
        lost.extend(lost_calls(parse(file, Dialect.default())))
    assert lost == []
