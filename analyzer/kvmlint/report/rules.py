"""Rules, not findings: the table of all, one rule's page, and the table that README.md shows."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent

from kvmlint.diagnostic import RuleInfo

BEGIN, END = "<!-- rules -->", "<!-- /rules -->"
"""The lines in README.md between which the table stands."""


def table(rules: Sequence[RuleInfo]) -> str:
    """One line a rule: id, level, precision, summary, in columns."""
    rows = [(r.id, r.severity.value, r.precision.value, r.summary) for r in rules]
    widths = [max((len(row[c]) for row in rows), default=0) for c in range(3)]
    return "".join(
        "  ".join([*(f"{row[c]:{widths[c]}}" for c in range(3)), row[3]]) + "\n" for row in rows
    )


def page(rule: RuleInfo) -> str:
    """Everything that is known of one rule."""
    head = f"{rule.id}: {rule.summary}\n{rule.severity.value}, precision {rule.precision.value}"
    cwes = [tag.rpartition("/")[2].upper() for tag in rule.tags if "/cwe/" in tag]
    if cwes:
        head += f", {', '.join(cwes)}"
    sections = (
        ("Why it is a bug", rule.why),
        ("Example", rule.example),
        ("Known limits", rule.limits),
    )
    body = "".join(f"\n{title}\n\n{indent(text.strip(), '  ')}\n" for title, text in sections)
    return f"{head}\n{body}"


def markdown(rules: Sequence[RuleInfo]) -> str:
    """The table as Markdown, in the order of the catalogue."""
    rows = (f"| `{r.id}` | {r.severity.value} | {r.summary} |\n" for r in rules)
    return "| rule | level | what it reports |\n|---|---|---|\n" + "".join(rows)


def with_table(text: str, rules: Sequence[RuleInfo]) -> str:
    """``text`` with the table between the markers written anew. ValueError: no markers."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not begin or not end:
        raise ValueError(f"no lines {BEGIN} and {END}")
    return before + begin + markdown(rules) + end + after
