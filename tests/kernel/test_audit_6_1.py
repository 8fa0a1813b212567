"""The ledger of Linux 6.1 against a key read by hand from EL2's source.

Besides what a site row of labels-6.12.json says, a row has: ``use``, what the host does;
``where``, the EL2 lines that an errno comes from (relative to arch/arm64/kvm); ``dead``, lines that
hold an errno which constants or an earlier check keep from the host, and why; ``excluded``, names
that only the state of EL2 excludes, and why; ``missed``, lines of ``where`` that are not found, and
why. An argument that EL2 doesn't check may have any value: ERANGE counts for a page number.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvmlint.audit import audit
from kvmlint.report.ledger import Audit, Row
from kvmlint.runner import Options
from kvmlint_rules import RULES

KVM = "arch/arm64/kvm"
KEY = Path(__file__).with_name("labels-6.1-ledger.json")

VERDICTS = {
    "share_pfn_hyp": ("missing-rollback",),
    "unshare_pfn_hyp": ("premature-teardown",),
    "cpu_set_hyp_vector": ("ignored-return",),
}
"""Of the definite rows; every other row is fine, or debatable and not more than a note."""

pytestmark = pytest.mark.kernel


@dataclass(frozen=True, slots=True)
class Site:
    """A hand-read row of the key; lines as 'file:line' below arch/arm64/kvm."""

    file: str
    function: str
    hypercall: str
    kind: str
    use: str
    errnos: frozenset[str]
    where: dict[str, frozenset[str]]
    dead: frozenset[str]
    excluded: frozenset[str]
    missed: frozenset[str]


def key() -> list[Site]:
    return [
        Site(
            row["file"],
            row["function"],
            row["hypercall"],
            row["kind"],
            row["use"],
            frozenset(row.get("errno", ())),
            {name: frozenset(lines) for name, lines in row.get("where", {}).items()},
            frozenset(row.get("dead", ())),
            frozenset(row.get("excluded", ())),
            frozenset(row.get("missed", ())),
        )
        for row in json.loads(KEY.read_text(encoding="utf-8"))
    ]


FALLIBLE = [site for site in key() if site.errnos]


@pytest.fixture(scope="module")
def ledger(kernel_6_1: Path) -> Audit:
    return audit([str(kernel_6_1 / KVM)], Options(), RULES)


def rows_of(ledger: Audit, site: Site) -> list[Row]:
    return [
        row
        for row in ledger.rows
        if (row.function, row.hypercall) == (site.function, site.hypercall)
    ]


def lines_of(row: Row) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for errno in row.errnos:
        line = f"{errno.path.removeprefix(f'{KVM}/')}:{errno.line}"
        found.setdefault(errno.name.removeprefix("-"), set()).add(line)
    return found


def test_the_key_agrees_with_itself() -> None:
    for site in key():
        assert set(site.where) == site.errnos, site.hypercall
        lines = frozenset().union(*site.where.values())
        assert site.missed <= lines, site.hypercall
        assert not site.dead & lines, site.hypercall
        assert not site.excluded & site.errnos, site.hypercall


def test_every_site_with_its_kind_and_use(ledger: Audit) -> None:
    assert ledger.notifications == ()
    assert Counter(
        (row.path, row.function, row.hypercall, row.kind, row.use.value) for row in ledger.rows
    ) == Counter((site.file, site.function, site.hypercall, site.kind, site.use) for site in key())


@pytest.mark.parametrize("site", FALLIBLE, ids=[site.hypercall for site in FALLIBLE])
def test_errnos(site: Site, ledger: Audit) -> None:
    for row in rows_of(ledger, site):
        assert row.fallible
        assert site.errnos <= set(lines_of(row)) <= site.errnos | site.excluded


@pytest.mark.parametrize("site", FALLIBLE, ids=[site.hypercall for site in FALLIBLE])
def test_the_lines_they_come_from(site: Site, ledger: Audit) -> None:
    for row in rows_of(ledger, site):
        found = lines_of(row)
        for name, lines in site.where.items():
            assert lines - site.missed <= found[name], name
            assert found[name] <= lines | site.dead, name


@pytest.mark.parametrize(
    "site",
    [
        pytest.param(site, id=site.hypercall, marks=pytest.mark.xfail(strict=True))
        for site in FALLIBLE
        if site.missed
    ],
)
def test_lines_that_are_known_to_be_missed(site: Site, ledger: Audit) -> None:
    """Fails when one is found after all: then it goes out of the key's ``missed``."""
    for row in rows_of(ledger, site):
        found: frozenset[str] = frozenset().union(*lines_of(row).values())
        assert site.missed <= found


def test_what_cannot_fail(ledger: Audit) -> None:
    quiet = {(site.function, site.hypercall) for site in key() if site.kind in ("nothing", "data")}
    for row in ledger.rows:
        if (row.function, row.hypercall) in quiet:
            assert (row.fallible, row.errnos, row.verdict) == (False, (), ()), row
    assert {row.hypercall for row in ledger.rows if row.assumed} == {"__kvm_hyp_init"}


def test_verdicts(ledger: Audit) -> None:
    for row in ledger.rows:
        assert row.verdict == VERDICTS.get(row.function, ()), row
