"""One defect, one report: what is grouped, what goes first, what makes two reports one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvmlint.diagnostic import Diagnostic, Precision, Severity
from kvmlint.joined import dedupe
from kvmlint.rule import Finding
from kvmlint.runner import Options, check
from kvmlint.source import Span
from kvmlint.triage import PRECEDENCE, best
from kvmlint_rules import RULES


def finding(rule: str = "missing-rollback", site: int = 3, **changes: object) -> Finding:
    made = Finding(rule, Severity.ERROR, Precision.HIGH, "f", "__x_frob", site, site, "p", "m")
    return replace(made, **changes)  # type: ignore[arg-type]


# --- grouping ------------------------------------------------------------------------------------


def test_paths_to_one_defect_are_one_finding() -> None:
    first, second = finding(message="short way"), finding(message="long way")
    assert best([first, second]) == [first]


@pytest.mark.parametrize(
    "other",
    [
        finding(site=4),
        finding(root="q"),
        finding(function="g"),
        finding("lock-held-on-failure"),
    ],
    ids=["site", "object", "function", "rule"],
)
def test_defects_are_told_apart(other: Finding) -> None:
    assert best([finding(), other]) == [finding(), other]


def test_the_most_telling_path_is_kept() -> None:
    note = finding(severity=Severity.NOTE, standing=("a", "b", "c"))
    unsure = finding(precision=Precision.MEDIUM, standing=("a", "b"))
    one = finding(standing=("a",))
    two = finding(standing=("a", "b"))
    for given in ([note, unsure, one, two], [two, one, unsure, note], [one, two, note, unsure]):
        assert best(given) == [two]
    assert best([note, unsure, one]) == [one]
    assert best([note, unsure]) == [unsure]


@pytest.mark.parametrize(("strong", "weak"), PRECEDENCE)
def test_of_two_rules_on_one_origin_the_stronger_speaks(strong: str, weak: str) -> None:
    for given in ([finding(strong), finding(weak)], [finding(weak), finding(strong)]):
        assert [f.rule for f in best(given)] == [strong]
    # by the origin too: the weak one may be reported elsewhere
    elsewhere = finding(weak, 9, origin=3)
    assert [f.rule for f in best([finding(strong), elsewhere])] == [strong]


@pytest.mark.parametrize(("strong", "weak"), PRECEDENCE)
def test_elsewhere_both_speak(strong: str, weak: str) -> None:
    assert len(best([finding(strong), finding(weak, 9)])) == 2
    assert len(best([finding(strong), finding(weak, function="g")])) == 2


def test_rules_without_precedence_both_speak() -> None:
    given = [finding("lock-held-on-failure"), finding("missing-rollback")]
    assert best(given) == given


def test_precedence_names_rules_and_is_no_circle() -> None:
    ids = {rule.info().id for rule in RULES}
    assert {name for pair in PRECEDENCE for name in pair} <= ids
    reached = set(PRECEDENCE)
    for _ in ids:
        reached |= {(a, d) for a, b in reached for c, d in reached if b == c}
    assert not [pair for pair in reached if pair[0] == pair[1]]


# --- the same in C -------------------------------------------------------------------------------


def run(text: str, name: str = "x.c") -> tuple[Diagnostic, ...]:
    """Findings that users see; nothing may have been given up."""
    result = check([], Options(), RULES, (name, text.encode()))
    assert result.notifications == ()
    return result.diagnostics


def said(text: str) -> list[tuple[str, str]]:
    return [(d.rule, d.function) for d in run(text)]


LEAK = """
int lend(struct kvm *kvm, u64 pfn)
{
	struct rec *rec = kmalloc(sizeof(*rec), GFP_KERNEL);
	int ret;

	if (!rec)
		return -ENOMEM;
	rec->pfn = pfn;
	list_add(&rec->link, &kvm->lent);
	ret = kvm_call_hyp_nvhe(__pkvm_lend, pfn);
	if (ret == -EPERM)
		return ret;
	if (ret)
		return -EIO;
	return 0;
}
"""


def test_two_failing_exits_and_two_effects_on_one_object_are_one_report() -> None:
    (d,) = run(LEAK)
    assert (d.rule, d.severity) == ("missing-rollback", Severity.ERROR)
    assert len(d.standing) == 2
    assert LEAK.splitlines()[d.span.line - 1].strip() == d.text
    assert "__pkvm_lend" in d.text


def test_two_objects_are_two_reports() -> None:
    text = LEAK.replace("list_add(", "get_page(kvm->page);\n\tlist_add(")
    assert said(text) == [("missing-rollback", "lend")] * 2
    assert len({d.fingerprint for d in run(text)}) == 2


def test_callers_that_are_wrong_only_because_of_it_are_silent() -> None:
    callers = (
        "int outer(struct kvm *kvm) { return lend(kvm, 1); }\n"
        "int outermost(struct kvm *kvm) { int r = outer(kvm); if (r) return r; return 0; }\n"
    )
    assert said(LEAK + callers) == [("missing-rollback", "lend")]


def test_a_discarded_status_has_one_id() -> None:
    body = "int f(int a) {{ {} return 0; }}\n"
    call = "kvm_call_hyp_nvhe(__pkvm_lend, a);"
    assert said(body.format(call)) == [("ignored-return", "f")]
    assert said(body.format(f"int r = {call}")) == [("unchecked-return", "f")]
    assert said(body.format(f"int r = {call} if (r) pr_info(0);")) == [("swallowed-failure", "f")]


def test_a_batch_that_is_not_unwound_is_one_report() -> None:
    text = (
        "int f(u64 a, u64 b) { int r; for (; a < b; a++) {"
        " r = kvm_call_hyp_nvhe(__pkvm_host_share_hyp, a); if (r) return r; } return 0; }\n"
    )
    assert said(text) == [("partial-batch", "f")]


def test_a_teardown_before_its_reclaim_is_one_report() -> None:
    text = (
        "int f(struct kvm *kvm, struct rec *rec) { u64 pfn = rec->pfn; list_del(&rec->link);"
        " kfree(rec); return kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, pfn); }\n"
    )
    assert said(text) == [("premature-teardown", "f")]


# --- fingerprints --------------------------------------------------------------------------------


def fingerprint(text: str, name: str = "x.c") -> str:
    (d,) = run(text, name)
    return d.fingerprint


KEPT = {
    "blank lines above": ("\nint lend", "\n\n\n\nint lend"),
    "a comment above": ("\nint lend", "\n/* what\n * this does */\nint lend"),
    "another function above": ("\nint lend", "\nstatic int g(int a) { return a; }\n\nint lend"),
    "a comment inside": ("\trec->pfn = pfn;", "\t/* remember */\n\trec->pfn = pfn;"),
    "a blank line inside": ("\trec->pfn = pfn;", "\n\n\trec->pfn = pfn;"),
    "a print inside": ("\trec->pfn = pfn;", '\tpr_info("lend");\n\trec->pfn = pfn;'),
    "other white space": ("(__pkvm_lend, pfn)", "(__pkvm_lend,\n\t\t\t\tpfn)"),
    "a caller below": ("\treturn 0;\n}\n", "\treturn 0;\n}\nint g(void) { return lend(0, 1); }\n"),
}


@pytest.mark.parametrize(("old", "new"), KEPT.values(), ids=KEPT)
def test_fingerprint_stays(old: str, new: str) -> None:
    assert old in LEAK
    assert fingerprint(LEAK.replace(old, new, 1)) == fingerprint(LEAK)


CHANGED = {
    "another hypercall": ("__pkvm_lend", "__pkvm_borrow"),
    "another function": ("int lend(", "int lend_it("),
    "another argument": ("(__pkvm_lend, pfn)", "(__pkvm_lend, rec->pfn)"),
    "another effect": ("list_add(&rec->link, &kvm->lent)", "get_page(kvm->page)"),
}


@pytest.mark.parametrize(("old", "new"), CHANGED.values(), ids=CHANGED)
def test_fingerprint_changes(old: str, new: str) -> None:
    assert old in LEAK
    changed = {d.fingerprint for d in run(LEAK.replace(old, new))}
    assert changed
    assert fingerprint(LEAK) not in changed


def test_fingerprint_is_of_the_rule_too() -> None:
    text = (
        "int f(int a) { kvm_call_hyp_nvhe(__pkvm_lend, a); return 0; }\n"
        "int g(int a) { int r = kvm_call_hyp_nvhe(__pkvm_lend, a); return 0; }\n"
    )
    prints = {d.fingerprint for d in run(text)}
    assert len(prints) == 2
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in prints)


def test_the_same_call_twice_is_two_reports() -> None:
    call = "\tkvm_call_hyp_nvhe(__pkvm_lend, a);\n"
    found = run(f"int f(int a)\n{{\n{call}{call}\treturn 0;\n}}\n")
    assert [(d.rule, d.span.line) for d in found] == [("ignored-return", 3), ("ignored-return", 4)]


# --- preprocessor variants -----------------------------------------------------------------------


def test_a_finding_in_several_variants_is_one_report() -> None:
    text = LEAK.replace(
        "\trec->pfn = pfn;\n",
        "#ifdef CONFIG_A\n\trec->pfn = pfn;\n#else\n\trec->pfn = pfn + 1;\n#endif\n",
    )
    (d,) = run(text)
    assert d.fingerprint == fingerprint(LEAK)


def test_a_finding_in_one_variant_alone_is_reported() -> None:
    undo = "\tif (ret) {\n\t\tlist_del(&rec->link);\n\t\tkfree(rec);\n\t}\n"
    right = LEAK.replace("\tif (ret == -EPERM)\n", undo + "\tif (ret == -EPERM)\n")
    assert run(right) == ()
    half = LEAK.replace(
        "\tif (ret == -EPERM)\n",
        f"#ifdef CONFIG_A\n{undo}#else\n\tnothing();\n#endif\n\tif (ret == -EPERM)\n",
    )
    (d,) = run(half)
    assert d.fingerprint == fingerprint(LEAK)


def test_two_definitions_under_ifdef_are_two_places() -> None:
    one = "int f(int a)\n{\n\tkvm_call_hyp_nvhe(__pkvm_lend, a);\n\treturn 0;\n}\n"
    found = run(f"#ifdef CONFIG_A\n{one}#else\n{one}#endif\n")
    assert [d.span.line for d in found] == [4, 10]


def diagnostic(line: int, fingerprint: str, message: str = "m", path: str = "a.c") -> Diagnostic:
    return Diagnostic(
        "missing-rollback",
        Severity.ERROR,
        Precision.HIGH,
        Span(path, line, 2, line, 9),
        "text",
        "f",
        "__x",
        message,
        fingerprint=fingerprint,
    )


def test_dedupe_is_by_fingerprint_and_place() -> None:
    one = diagnostic(3, "a")
    assert dedupe([one, one]) == (one,)
    for other in (diagnostic(4, "a"), diagnostic(3, "b"), diagnostic(3, "a", path="b.c")):
        assert set(dedupe([one, other, one])) == {one, other}


def test_dedupe_sorts_and_keeps_the_same_one_whoever_comes_first() -> None:
    given = [diagnostic(9, "c"), diagnostic(3, "a", "z"), diagnostic(3, "a", "b")]
    want = (diagnostic(3, "a", "b"), diagnostic(9, "c"))
    assert dedupe(given) == want
    assert dedupe(given[::-1]) == want
