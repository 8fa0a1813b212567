"""Every fixture says what kvmlint must say; every rule has docs, fixtures and a place in README."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmlint.report.rules import with_table
from kvmlint.rule import RuleClass
from kvmlint.testing import Fixture, expectations, fixtures, functions, misnamed, run
from kvmlint_rules import RULES

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
ALL = list(fixtures(FIXTURES))
LONE = [fixture for fixture in ALL if not fixture.tree]

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.info().id)


@pytest.mark.parametrize("fixture", ALL, ids=str)
def test_fixture(fixture: Fixture) -> None:
    wrong = run(fixture, RULES)
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("fixture", LONE, ids=str)
def test_names_tell_what_to_expect(fixture: Fixture) -> None:
    (file,) = fixture.files
    wrong = misnamed(str(fixture), file.read_text(encoding="utf-8"))
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_demo_shows_something() -> None:
    (demo,) = (fixture for fixture in ALL if fixture.root == FIXTURES / "demo")
    said = [e for f in demo.files for e in expectations(f.name, f.read_text(encoding="utf-8"))]
    assert {e.rule for e in said if e.rule} <= {rule.info().id for rule in RULES}
    assert said


def test_ids_are_unique() -> None:
    ids = [rule.info().id for rule in RULES]
    assert sorted(set(ids)) == sorted(ids)


def test_every_rule_file_is_in_the_catalogue() -> None:
    files = {path.stem for path in (ROOT / "rules" / "kvmlint_rules").glob("[a-z]*.py")}
    assert {rule.__module__.rpartition(".")[2] for rule in RULES} == files


@each_rule
def test_rule_is_documented(rule: RuleClass) -> None:
    info = rule.info()
    assert rule.__module__ == f"kvmlint_rules.{info.id.replace('-', '_')}"
    assert 0 < len(info.summary) <= 100
    assert not info.summary.endswith(".")
    for section in (info.why, info.example, info.limits):
        assert len(section.split()) >= 3
    assert any(tag.startswith("external/cwe/cwe-") for tag in info.tags)
    assert len(info.tags) <= 20  # what GitHub takes


@each_rule
def test_rule_has_good_and_bad_fixtures(rule: RuleClass) -> None:
    id_ = rule.info().id
    names: set[str] = set()
    found: set[str] = set()
    for fixture in fixtures(FIXTURES / id_):
        for file in fixture.files:
            text = file.read_text(encoding="utf-8")
            names.update(function.name for function in functions(text))
            found.update(e.rule for e in expectations(file.name, text))
    assert any(name.endswith("_bad") for name in names)
    assert any(name.endswith("_ok") for name in names)
    assert id_ in found


def test_readme_lists_the_rules() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    want = with_table(text, [rule.info() for rule in RULES])
    assert text == want, "README.md's rule table is out of date: make readme"
