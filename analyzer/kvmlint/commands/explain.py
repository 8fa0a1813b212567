"""``kvmlint explain``: a rule's page, or the table of all rules."""

from __future__ import annotations

import click

from kvmlint.commands import catalogue
from kvmlint.console import CLEAN, write


@click.command()
@click.argument("rule", required=False)
@click.option("--markdown", is_flag=True, help="The table as README.md shows it.")
def explain(rule: str | None, markdown: bool) -> None:
    """Print RULE's page, or the table of all rules."""
    from kvmlint.report import rules as pages

    infos = catalogue.infos()
    if not rule:
        text = pages.markdown(infos) if markdown else pages.table(infos)
    else:
        wanted = catalogue.ids("explain", (rule,), infos)
        text = "\n".join(pages.page(info) for info in infos if info.id in wanted)
    write(text, None, CLEAN)
