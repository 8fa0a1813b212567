"""``kvmlint diff``: what a range of commits, or what is not committed yet, brings."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from time import perf_counter

import click

from kvmlint import __version__
from kvmlint.commands import catalogue
from kvmlint.commands.cache import NO_CACHE, store_for
from kvmlint.commands.options import (
    COLOR,
    JOBS,
    LEVELS,
    OUTPUT,
    SELECT,
    chosen,
    config_for,
    knowledge_for,
    mended_by_the_user,
    options_of,
)
from kvmlint.console import CLEAN, FAILED, FINDINGS, style_for, write
from kvmlint.report import FORMATS, Report, render
from kvmlint.report.safe import safe


@click.command()
@click.argument("revision", required=False, metavar="[REV | A..B | A...B]")
@options_of(
    click.option("--staged", is_flag=True, help="What the next commit would bring: the index."),
    click.option(
        "-C",
        "--tree",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False),
        help="Kernel tree root, in a git repository, or a bare repository. Default: the repository "
        "around the current folder.",
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(list(FORMATS)),
        default="text",
        show_default=True,
        help="How to print findings.",
    ),
    OUTPUT,
    *SELECT,
    *LEVELS,
    JOBS,
    NO_CACHE,
    click.option("--statistics", is_flag=True, help="Print counts and times on standard error."),
    COLOR,
    click.option("--show-notifications", is_flag=True, help="Print also what was not analysed."),
)
def diff(
    revision: str | None,
    staged: bool,
    tree: str | None,
    form: str,
    output: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    min_level: str | None,
    min_precision: str | None,
    jobs: int,
    no_cache: bool,
    statistics: bool,
    color: str,
    show_notifications: bool,
) -> None:
    """Report what changes bring: new findings, and known ones whose path is changed, per commit.

    \b
    no argument  since the merge base of HEAD and its upstream branch (or origin's
                 default branch, or master, main), and what is not committed
    REV          since the merge base of REV and HEAD, and what is not committed
    A..B         the commits of B that A has not; a side left out is HEAD
    A...B        the commits of B since the merge base of A and B
    --staged     what the next commit would bring

    Each commit is compared with its first parent; a merge with that, less what its other parents
    bring from outside of the range. Uncommitted are changes of files that git knows, staged or
    not, and new files in the folders that are always looked at, unless git ignores them. A
    finding is reported once, with the commit that brings it; one that a later commit of the range
    removes is still reported, and says so. Lines are those of the last version, or of the commit
    where a later one removes the finding.

    Nothing is written to the repository: no index, no work tree, no object.

    Exit status: 0 clean, 1 findings, 2 usage error or failed analysis.
    """
    from kvmlint import diff as engine
    from kvmlint.git.command import GitError
    from kvmlint.git.repository import find
    from kvmlint.knowledge import builtin
    from kvmlint.series import examine

    output = None if output == "-" else output
    if staged and revision is not None:
        raise click.UsageError("--staged and a revision exclude each other")
    infos = catalogue.infos()
    with mended_by_the_user(), store_for(no_cache) as store:
        config = config_for(tree or ".")
        options = chosen(config, tree, select, ignore, min_level, min_precision, jobs)
        knowledge = knowledge_for(config) or builtin()
        began = perf_counter()
        try:
            with closing(find(Path(tree or "."))) as repository:
                if staged:
                    head = repository.head()
                    place = engine.place_of(repository, tree, head)
                    series = engine.staged_series(place, head)
                else:
                    wanted = engine.range_of(repository, revision)
                    place = engine.place_of(repository, tree, wanted.tip)
                    series = engine.series_of(place, wanted, knowledge)
                found = examine(series, options, catalogue.rules(), knowledge, store)
        except GitError as error:
            raise click.ClickException(safe(str(error))) from error
        seconds = perf_counter() - began
    report = Report(
        found.diagnostics, found.notifications, infos, found.root, __version__, found.files
    )
    style = style_for(color, output, show_notifications)
    failed = [notification for notification in found.notifications if notification.failed]
    code = FAILED if failed else FINDINGS if found.diagnostics else CLEAN
    write(render(form, report, style), output, code)
    for notification in failed:
        click.echo(f"kvmlint: {safe(notification.path)}: {safe(notification.message)}", err=True)
    if statistics:
        cache = "off" if no_cache else store.problem or "on"
        for name, value in (*found.statistics, ("cache", cache), ("seconds", f"{seconds:.2f}")):
            click.echo(f"{name}: {value}", err=True)
    click.get_current_context().exit(code)
