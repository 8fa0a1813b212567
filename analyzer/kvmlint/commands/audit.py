"""``kvmlint audit``: the ledger of hypercalls."""

from __future__ import annotations

import click

from kvmlint.commands import catalogue
from kvmlint.commands.options import (
    COLOR,
    OUTPUT,
    TREE,
    choice,
    chosen,
    config_for,
    knowledge_for,
    mended_by_the_user,
)
from kvmlint.console import CLEAN, FAILED, style_for, write
from kvmlint.diagnostic import Precision, Severity
from kvmlint.report.safe import safe


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path())
@TREE
@click.option(
    "--hypercall", metavar="NAME", default="", help="One hypercall: contract and callers."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "markdown"]),
    default="table",
    show_default=True,
    help="How to print the ledger.",
)
@OUTPUT
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=GLOB,...",
    help="Only sites where a glob matches (KEY!=: where none does); may be repeated. Keys: file, "
    "function, hypercall, kind, use, verdict, confidence.",
)
@click.option("--sort", metavar="KEY,...", default="", help="Keys as for --filter. Default: file.")
@click.option(
    "--min-level",
    type=choice(Severity),
    help="Findings below it are no verdict. Default: warning.",
)
@click.option(
    "--min-precision",
    type=choice(Precision),
    help="Less sure findings are no verdict. Default: medium.",
)
@COLOR
def audit(
    paths: tuple[str, ...],
    tree: str | None,
    hypercall: str,
    form: str,
    output: str | None,
    filters: tuple[str, ...],
    sort: str,
    min_level: str | None,
    min_precision: str | None,
    color: str,
) -> None:
    """The ledger of hypercalls: each site in PATHs: what EL2 returns, what the host does with it.

    With --hypercall also why that hypercall can fail, as a tree of EL2 functions; without PATHs
    its callers are looked for in the whole tree. The exit status is 0, whatever is found.
    """
    from kvmlint import audit as engine
    from kvmlint.report import ledger

    if not paths and not hypercall:
        raise click.UsageError("name a PATH, or a --hypercall")
    output = None if output == "-" else output
    with mended_by_the_user():
        config = config_for(tree or (paths[0] if paths else "."))
        where = tree or (None if paths else ".")
        options = chosen(config, where, min_level=min_level, min_precision=min_precision)
        try:
            wanted = [engine.filter_of(text) for text in filters]
            keys = engine.keys_of(sort)
            found = engine.audit(
                paths, options, catalogue.rules(), knowledge_for(config), hypercall
            )
        except engine.AuditError as error:
            raise click.UsageError(safe(str(error))) from error
    found = engine.arranged(found, wanted, keys)
    failed = [notification for notification in found.notifications if notification.failed]
    code = FAILED if failed else CLEAN
    write(ledger.render(form, found, style_for(color, output, False)), output, code)
    for notification in found.notifications:
        # CSV has no place for what could not be decided.
        if notification.failed or form == "csv":
            click.echo(f"kvmlint: {safe(ledger.said(notification))}", err=True)
    click.get_current_context().exit(code)
