"""``kvmlint audit``: the ledger of hypercalls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from kvmlint.source import Sources


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
@click.option(
    "--since",
    metavar="REV",
    help="What of the ledger has changed since the merge base of REV and HEAD, in git.",
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
    since: str | None,
    sort: str,
    min_level: str | None,
    min_precision: str | None,
    color: str,
) -> None:
    """The ledger of hypercalls: each site in PATHs: what EL2 returns, what the host does with it.

    With --hypercall also why that hypercall can fail, as a tree of EL2 functions; without PATHs
    its callers are looked for in the whole tree. With --since the sites that are new, gone, or
    changed in what EL2 returns or the host does: of the whole tree, or below PATHs of it. What is
    not committed counts. The exit status is 0, whatever is found.
    """
    from kvmlint import audit as engine
    from kvmlint.report import ledger

    output = None if output == "-" else output
    if since is not None:
        if hypercall:
            raise click.UsageError("--since and --hypercall exclude each other")
        text = _changes(paths, tree, since, form, filters, min_level, min_precision)
        write(text, output, CLEAN)
        click.get_current_context().exit(CLEAN)
    if not paths and not hypercall:
        raise click.UsageError("name a PATH, a --hypercall, or --since")
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


def _changes(
    paths: tuple[str, ...],
    tree: str | None,
    since: str,
    form: str,
    filters: tuple[str, ...],
    min_level: str | None,
    min_precision: str | None,
) -> str:
    """What has changed since a revision. Raises ClickException."""
    import os
    from contextlib import closing
    from pathlib import Path

    from kvmlint import __version__, diff
    from kvmlint import audit as engine
    from kvmlint.codebase import Codebase, Shared
    from kvmlint.git.command import GitError
    from kvmlint.git.repository import find
    from kvmlint.inputs import relative
    from kvmlint.knowledge import builtin
    from kvmlint.report import ledger_changes
    from kvmlint.tree.extent import host_files

    with mended_by_the_user():
        config = config_for(tree or ".")
        options = chosen(config, tree, min_level=min_level, min_precision=min_precision)
        knowledge = knowledge_for(config) or builtin()
        try:
            wanted = [engine.filter_of(text) for text in filters]
            with closing(find(Path(tree or "."))) as repository:
                range_ = diff.range_of(repository, since)
                place = diff.place_of(repository, tree, range_.tip)
                series = diff.series_of(place, range_, knowledge)
                below = [relative(path, Path(os.path.realpath(series.root))) for path in paths]
                versions = [series.base, *(step.sources for step in series.steps[-1:])]
                for path in below:
                    if not any(True for one in versions for _ in _files(one, path)):
                        raise engine.AuditError(f"'{path}' is in no version of {series.root}")
                ledgers = []
                shared = Shared()
                for sources in versions:
                    code = Codebase(sources, series.whole, series.root, knowledge, shared)
                    named = (path for folder in below for path in _files(sources, folder))
                    files = sorted({*host_files(sources, knowledge.tables.worlds), *named})
                    found = engine.audit_code(code, files, options, catalogue.rules())
                    ledgers.append(found)
        except GitError as error:
            raise click.ClickException(safe(str(error))) from error
        except engine.AuditError as error:
            raise click.UsageError(safe(str(error))) from error
    changes = [
        one
        for one in engine.alterations(ledgers[0], ledgers[-1])
        if (not below or any(_is_below(one.row.path, folder) for folder in below))
        and any(
            row is not None and all(one_filter.keeps(row) for one_filter in wanted)
            for row in (one.before, one.after)
        )
    ]
    return ledger_changes.render(form, changes, series.root, __version__)


def _files(sources: Sources, path: str) -> Iterator[str]:
    """The files that a path of a tree stands for, in one version of it."""
    if sources.exists(path):
        yield path
    elif not path.startswith("/"):
        yield from sources.walk(path, (".c",))


def _is_below(path: str, folder: str) -> bool:
    return folder in (".", path) or path.startswith(f"{folder.rstrip('/')}/")
