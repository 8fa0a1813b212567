"""The SARIF of a real run keeps the contract of sarif_contract.py; and that contract can be broken.

test_sarif_tools.py asks Microsoft's validator, the JSON schema and a viewer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sarif_contract import Json, complaints, items, put, results, text

from kvmlint import runner
from kvmlint.complaint import META
from kvmlint.report.linehash import line_hashes
from kvmlint.runner import Options
from kvmlint_rules import RULES

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "fixtures" / "demo"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``kvmlint fixtures/demo --format sarif`` writes."""
    out = tmp_path_factory.mktemp("sarif") / "demo.sarif"
    command = [sys.executable, "-m", "kvmlint", str(DEMO), "--format", "sarif", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    return out.read_text(encoding="ascii")


def test_a_real_run_keeps_the_contract(demo: str) -> None:
    log: Json = json.loads(demo)
    assert complaints(log, DEMO) == []
    assert {text(result, "ruleId") for result in results(log)} >= {
        "ignored-return",
        "missing-rollback",
        "partial-batch",
        "premature-teardown",
    }
    for result in results(log):
        assert items(result, "relatedLocations"), "EL2's lines are linked from the message"
        assert items(result, "codeFlows"), "and the path is there"


def test_all_rules_are_listed(demo: str) -> None:
    rules = items(json.loads(demo), "runs", 0, "tool", "driver", "rules")
    want = [*(rule.id for rule in RULES), *(rule.id for rule in META)]
    assert [text(rule, "id") for rule in rules] == want
    assert text(rules[0], "name") == "".join(word.title() for word in want[0].split("-"))


def test_the_cwes(demo: str) -> None:
    rules = items(json.loads(demo), "runs", 0, "tool", "driver", "rules")
    known = {text(rule, "id"): items(rule, "properties", "tags") for rule in rules}
    assert "external/cwe/cwe-252" in known["ignored-return"]
    assert "external/cwe/cwe-459" in known["missing-rollback"]


def test_fingerprints_and_hashes_are_the_engine_s_own(demo: str) -> None:
    result = runner.check([str(DEMO)], Options(), RULES)
    found = results(json.loads(demo))
    prints = [text(result, "partialFingerprints", "kvmlint/v1") for result in found]
    assert prints == [d.fingerprint for d in result.diagnostics]
    hashes = [text(result, "partialFingerprints", "primaryLocationLineHash") for result in found]
    assert hashes == [
        line_hashes((DEMO / d.span.path).read_bytes())[d.span.line] for d in result.diagnostics
    ]


# What is said (and after a bar, which case it is) → the damage.
BREAK: dict[str, Callable[[Json], None]] = {
    "no fingerprint of our own": lambda log: put(
        results(log)[0], None, "partialFingerprints", "kvmlint/v1"
    ),
    "no line hash": lambda log: put(
        results(log)[0], None, "partialFingerprints", "primaryLocationLineHash"
    ),
    "region (": lambda log: put(
        results(log)[0], None, "locations", 0, "physicalLocation", "region", "endColumn"
    ),
    "the region is": lambda log: put(
        results(log)[0], 3, "locations", 0, "physicalLocation", "region", "startColumn"
    ),
    "primary region on several lines": lambda log: put(
        results(log)[0], 999, "locations", 0, "physicalLocation", "region", "endLine"
    ),
    "no level": lambda log: put(results(log)[0], None, "level"),
    "ruleIndex leads|wrong": lambda log: put(results(log)[0], 9, "ruleIndex"),
    "ruleIndex leads|none": lambda log: put(results(log)[0], None, "ruleIndex"),
    "leads nowhere|wrong": lambda log: put(results(log)[0], "See [x](77).", "message", "text"),
    "leads nowhere|none": lambda log: put(results(log)[0], None, "relatedLocations"),
    "a place without a word": lambda log: put(
        results(log)[0], None, "codeFlows", 0, "threadFlows", 0, "locations", 0, "location",
        "message",
    ),
    "not relative": lambda log: put(
        results(log)[0], "/x.c", "locations", 0, "physicalLocation", "artifactLocation", "uri"
    ),
    "not normalised": lambda log: put(
        results(log)[0], "a/../x.c", "relatedLocations", 0, "physicalLocation",
        "artifactLocation", "uri",
    ),
    "not encoded": lambda log: put(
        results(log)[0], "a b.c", "locations", 0, "physicalLocation", "artifactLocation", "uri"
    ),
    "%SRCROOT%": lambda log: put(
        log, "file:///tree", "runs", 0, "originalUriBaseIds", "%SRCROOT%", "uri"
    ),
    "category": lambda log: put(log, "kvmlint", "runs", 0, "automationDetails", "id"),
    "columnKind": lambda log: put(log, None, "runs", 0, "columnKind"),
    ": name": lambda log: put(
        log, "ignored-return", "runs", 0, "tool", "driver", "rules", 0, "name"
    ),
    ": texts": lambda log: put(
        log, "x" * 1025, "runs", 0, "tool", "driver", "rules", 0, "fullDescription", "text"
    ),
    ": tags": lambda log: put(
        log, ["x"] * 21, "runs", 0, "tool", "driver", "rules", 0, "properties", "tags"
    ),
    ": security-severity": lambda log: put(
        log, "high", "runs", 0, "tool", "driver", "rules", 0, "properties", "security-severity"
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", BREAK)
def test_the_contract_can_be_broken(demo: str, words: str) -> None:
    log: Json = json.loads(demo)
    BREAK[words](log)
    assert words.partition("|")[0] in "\n".join(complaints(log, DEMO))
