"""The house keeps its shape: who may import whom, how long a module may be, what is named."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "analyzer" / "kvmlint"
RULES = ROOT / "rules" / "kvmlint_rules"

ROOMS = (
    ("source", "diagnostic", "trace"),
    ("git",),
    ("knowledge",),
    ("syntax",),
    ("cfg",),
    ("tree",),
    ("explore",),
    ("contract",),
    ("module",),
    ("program",),
    ("narrate",),
    ("pathexit",),
    ("questions",),
    ("rule",),
    ("complaint", "scope"),
    ("triage", "suppress", "exempt", "joined", "fileresult"),
    ("report",),
    ("handling", "inputs", "inspection", "codebase", "record", "cache", "baseline"),
    ("answer",),
    ("recall",),
    ("runner", "config", "dump", "testing"),
    ("audit", "compare", "difference"),
    ("affected", "blame", "hunk"),
    ("series",),
    ("diff", "mails"),
    ("patch",),
    ("console",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
"""A room imports from its own row and the rows above it."""

MUST_NOT_KNOW = {
    "cfg": {"knowledge"},
    "explore": {"tree"},
    "report": {"knowledge", "syntax", "cfg", "tree", "explore", "contract", "program", "rule"},
    "testing": {"knowledge", "syntax", "cfg", "tree", "explore", "contract", "program"},
}
"""Rows above that a room still may not see."""

LIBRARIES = {
    "tree_sitter": {"syntax"},
    "tree_sitter_c": {"syntax"},
    "networkx": {"cfg", "explore", "contract", "program", "dump"},
    "attr": {"report"},
    "sarif_om": {"report"},
    "click": {"cli", "commands", "console"},
    "multiprocessing": {"recall"},
    "concurrent": {"recall"},
    "tomllib": {"knowledge"},
    "sqlite3": {"cache"},
    "kvmlint_rules": {"commands"},
}
"""What only these rooms may import."""

MAX_LINES = 400


def modules(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            if module == "kvmlint":  # from kvmlint import config: the room is what is imported
                yield from ((node.lineno, f"kvmlint.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def room(path: Path) -> str:
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


def complaints(own: str, imported: str) -> str:
    """Why a module in room ``own`` may not import ``imported``, or ''."""
    row = {name: number for number, names in enumerate(ROOMS) for name in names}
    top, _, rest = imported.partition(".")
    allowed = LIBRARIES.get(top)
    if allowed is not None and own not in allowed:
        return f"only {', '.join(sorted(allowed))} may import {top}"
    other = rest.split(".")[0]
    if top != "kvmlint" or other in ("", "__version__"):
        return ""
    if row[other] > row[own]:
        return f"{other} stands below {own}"
    if other in MUST_NOT_KNOW.get(own, ()):
        return f"{own} must not know {other}"
    return ""


def test_every_module_is_in_a_room() -> None:
    known = {name for names in ROOMS for name in names} | {"__init__"}
    assert {room(path) for path in modules(ENGINE)} <= known


def test_imports_go_up_only() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {why}"
        for path in modules(ENGINE)
        if room(path) != "__init__"
        for line, name in imports(path)
        if (why := complaints(room(path), name))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("own", "imported", "fine"),
    [
        ("syntax", "kvmlint.source", True),
        ("source", "kvmlint.diagnostic", True),
        ("commands", "kvmlint_rules", True),
        ("syntax", "tree_sitter", True),
        ("syntax", "kvmlint.cfg.graph", False),
        ("rule", "kvmlint.triage", False),
        ("report", "kvmlint.explore.state", False),
        ("cfg", "kvmlint.knowledge", False),
        ("cfg", "tree_sitter", False),
        ("runner", "kvmlint_rules", False),
    ],
)
def test_the_check_itself(own: str, imported: str, fine: bool) -> None:
    assert (complaints(own, imported) == "") == fine


def test_rules_know_little() -> None:
    """What a rule may see: the contract file, what it reports, the tables, the states."""
    allowed = {"rule", "diagnostic", "source", "knowledge", "explore", "contract"}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules(RULES)
        for line, name in imports(path)
        if (name.startswith("kvmlint.") and name.split(".")[1] not in allowed)
        or name.split(".")[0] in LIBRARIES.keys() - {"kvmlint_rules"}
    ]
    assert found == []


def test_engine_knows_no_rule_by_name() -> None:
    ids = {path.stem.replace("_", "-") for path in modules(RULES)} - {"--init--"}
    found = [
        f"{path.relative_to(ROOT)}: {node.value}"
        for path in modules(ENGINE)
        if room(path) != "commands"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        # The precedence of triage is a table of rule ids by nature.
        if isinstance(node, ast.Constant) and node.value in ids and room(path) != "triage"
    ]
    assert found == []


def test_source_roots_are_no_packages() -> None:
    for root in (ENGINE.parent, RULES.parent):
        assert not (root / "__init__.py").exists()
    for package in (ENGINE, RULES):
        assert (package / "py.typed").exists()


@pytest.mark.parametrize("path", [*modules(ENGINE), *modules(RULES)], ids=lambda path: path.name)
def test_modules_are_short_and_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES
    assert ast.get_docstring(ast.parse(text)) or not text.strip()


# Assembled here, so that this file doesn't contain what it looks for.
_PLACES = ("root", "work", "home/[a-z]+", "Users/[A-Za-z]+")
_MACHINE = re.compile(
    "(?<![A-Za-z0-9_.$}~-])/(?:" + "|".join(_PLACES) + ")/"
    "|" + "deb[.]debian" + "|pypi[.]" + "org|files[.]python" + "hosted|registry[.]npm"
)


def tracked() -> list[Path]:
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def test_no_machine_is_named() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        if path.name != "LICENSE"
        for match in [_MACHINE.search(path.read_text(encoding="utf-8", errors="replace"))]
        if match
    ]
    assert found == []


def test_the_machine_check_itself() -> None:
    home = "/" + "home/someone/x"
    assert _MACHINE.search(f"cd {home}")
    assert _MACHINE.search('open("/' + 'root/.cache")')
    assert not _MACHINE.search("arch/arm64/home/kvm and a /workload")
