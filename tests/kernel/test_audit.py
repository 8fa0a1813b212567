"""The ledger of a real kernel against the answer key: kinds, errnos, sites."""

from __future__ import annotations

import json
from collections import Counter
from math import ceil
from pathlib import Path
from typing import NamedTuple

import pytest

from kvmlint.audit import audit
from kvmlint.report.ledger import Audit, Row, Use
from kvmlint.runner import Options
from kvmlint_rules import RULES

KVM = "arch/arm64/kvm"
KEY = Path(__file__).with_name("labels-6.12.json")

pytestmark = pytest.mark.kernel


class Site(NamedTuple):
    """A hand-read row of the key."""

    file: str
    function: str
    hypercall: str
    kind: str
    errnos: frozenset[str]


def key() -> list[Site]:
    rows = json.loads(KEY.read_text(encoding="utf-8"))
    return [
        Site(
            row["file"],
            row["function"],
            row["hypercall"],
            row["kind"],
            frozenset(f"-{name}" for name in row.get("errno") or ()),
        )
        for row in rows
        if row["level"] == "site"
    ]


@pytest.fixture(scope="module")
def ledger(kernel_6_12: Path) -> Audit:
    return audit([str(kernel_6_12 / KVM)], Options(), RULES)


def named(rows: tuple[Row, ...]) -> Counter[tuple[str, str, str, str]]:
    return Counter((row.path, row.function, row.hypercall, row.kind) for row in rows)


def test_every_site_with_its_kind(ledger: Audit) -> None:
    """No site missed, none too many, and each returns what the key says."""
    assert named(ledger.rows) == Counter(
        (site.file, site.function, site.hypercall, site.kind) for site in key()
    )


def test_errnos(ledger: Audit) -> None:
    found = {(row.function, row.hypercall): set(row.names) for row in ledger.rows}
    wanted = recalled = 0
    for site in key():
        have = found[site.function, site.hypercall]
        wanted += len(site.errnos)
        recalled += len(have & site.errnos)
        extra = have - site.errnos
        # A quarter of a few names is less than one: one is the least that can be too many.
        assert len(extra) <= ceil(len(site.errnos) / 4), (site.hypercall, extra)
    assert wanted == 25
    assert recalled >= 23
    total = sum(len(names) for names in found.values())
    assert (total - recalled) / wanted <= 0.25


def test_only_what_is_no_c_is_assumed(ledger: Audit) -> None:
    assert {row.hypercall for row in ledger.rows if row.assumed} == {"__kvm_hyp_init"}
    assert ledger.notifications == ()


def test_what_returns_nothing_is_not_reported(ledger: Audit) -> None:
    quiet = [row for row in ledger.rows if row.kind in ("nothing", "data")]
    assert len(quiet) == 18
    assert {(row.verdict, row.errnos, row.fallible) for row in quiet} == {((), (), False)}


USES = {
    "kvm_arm_vcpu_enter_exit": Use.PROPAGATED,
    "hyp_install_host_vector": Use.WARNED,
    "cpu_set_hyp_vector": Use.IGNORED,
    "do_pkvm_init": Use.PROPAGATED,
    "share_pfn_hyp": Use.PROPAGATED,
    "unshare_pfn_hyp": Use.PROPAGATED,
    "__create_hyp_private_mapping": Use.PROPAGATED,
    "__pkvm_destroy_hyp_vm": Use.WARNED,
    "__pkvm_create_hyp_vm": Use.UNDONE,
    "_kvm_host_prot_finalize": Use.PROPAGATED,  # warned, and told through a pointer
    "kvm_arm_init_debug": Use.DATA,
    "vgic_v3_probe": Use.DATA,
}
"""As the key's host_use says it; everywhere else EL2 returns nothing."""


def test_uses(ledger: Audit) -> None:
    for row in ledger.rows:
        assert row.use is USES.get(row.function, Use.NOTHING), row


def test_verdicts(ledger: Audit) -> None:
    verdicts = {row.function: row.verdict for row in ledger.rows}
    assert "narrowed-return" in verdicts["kvm_arm_vcpu_enter_exit"]
    assert "ignored-return" in verdicts["cpu_set_hyp_vector"]
    assert "missing-rollback" in verdicts["share_pfn_hyp"]
    assert "premature-teardown" in verdicts["unshare_pfn_hyp"]
    assert verdicts["__pkvm_create_hyp_vm"] == ()


def test_errnos_name_lines_that_say_so(ledger: Audit, kernel_6_12: Path) -> None:
    for row in ledger.rows:
        assert bool(row.errnos) == (row.fallible and not row.assumed)
        for errno in row.errnos:
            lines = (kernel_6_12 / errno.path).read_text(encoding="utf-8").split("\n")
            assert errno.name in lines[errno.line - 1], errno


def test_6_1(kernel_6_1: Path) -> None:
    """Read by hand: a handle, and vCPUs that EL2 creates, came later than 6.1."""
    found = audit([str(kernel_6_1 / KVM)], Options(), RULES)
    assert found.notifications == ()
    kinds = {row.hypercall: row.kind for row in found.rows}
    assert {name: kind for name, kind in kinds.items() if kind != "nothing"} == {
        "__kvm_vcpu_run": "data",
        "__kvm_hyp_init": "status",
        "__pkvm_cpu_set_vector": "status",
        "__pkvm_init": "status",
        "__pkvm_prot_finalize": "status",
        "__kvm_get_mdcr_el2": "data",
        "__pkvm_host_share_hyp": "status",
        "__pkvm_host_unshare_hyp": "status",
        "__pkvm_create_private_mapping": "pointer",
        "__vgic_v3_get_gic_config": "data",
        "__vgic_v3_read_vmcr": "data",
    }
