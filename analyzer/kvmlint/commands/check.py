"""``kvmlint check``, the default command: findings in files and folders."""

from __future__ import annotations

from collections import Counter
from time import perf_counter

import click

from kvmlint import __version__
from kvmlint.commands import catalogue, known
from kvmlint.commands.cache import NO_CACHE, state, store_for
from kvmlint.commands.options import (
    COLOR,
    FORMAT,
    JOBS,
    LEVELS,
    NOTIFICATIONS,
    OUTPUT,
    SELECT,
    STATISTICS,
    TREE,
    chosen,
    config_for,
    knowledge_for,
    mended_by_the_user,
    options_of,
)
from kvmlint.console import (
    CLEAN,
    FAILED,
    FINDINGS,
    read_stdin,
    say_failed,
    say_statistics,
    style_for,
    write,
)
from kvmlint.diagnostic import Diagnostic
from kvmlint.report import Report, render


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@options_of(
    TREE,
    FORMAT,
    OUTPUT,
    *SELECT,
    *LEVELS,
    JOBS,
    NO_CACHE,
    STATISTICS,
    COLOR,
    *known.OPTIONS,
    click.option("--stdin-filename", metavar="PATH", help="What - should be called."),
    NOTIFICATIONS,
    click.option(
        "--show-suppressed", is_flag=True, help="Print also what is suppressed or known, marked."
    ),
)
def check(
    paths: tuple[str, ...],
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
    baseline: str | None,
    write_baseline: str | None,
    stdin_filename: str | None,
    show_notifications: bool,
    show_suppressed: bool,
) -> None:
    """Report findings in PATHs (the default command)."""
    from kvmlint import runner
    from kvmlint.baseline import load

    output = None if output == "-" else output
    stdin = read_stdin(paths, stdin_filename)
    infos = catalogue.infos()
    named = [path for path in paths if path != "-"]
    with mended_by_the_user(), store_for(no_cache) as store:
        config = config_for(tree or (named[0] if named else "."))
        baseline = config.baseline if baseline is None else baseline
        listed = load(baseline) if baseline and write_baseline is None else None
        options = chosen(config, tree, select, ignore, min_level, min_precision, jobs)
        began = perf_counter()
        result = runner.check(
            named,
            options,
            catalogue.rules(),
            stdin,
            knowledge_for(config),
            None if no_cache else store,
        )
        seconds = perf_counter() - began
    failed = [notification for notification in result.notifications if notification.failed]
    if write_baseline is not None:
        code = known.write_down(write_baseline, result)
    else:
        if listed is not None:
            result = known.without(listed, result)
        shown = result.diagnostics
        if show_suppressed:
            shown = tuple(sorted((*shown, *result.suppressed), key=Diagnostic.sort_key))
        report = Report(shown, result.notifications, infos, result.root, __version__, result.files)
        code = FAILED if failed else FINDINGS if result.diagnostics else CLEAN
        write(render(form, report, style_for(color, output, show_notifications)), output, code)
    say_failed(failed)
    if statistics:
        counts = Counter(d.rule for d in result.diagnostics)
        each = [(f"findings of {info.id}", str(counts[info.id])) for info in infos]
        say_statistics((*result.statistics, *each), state(no_cache, store), seconds)
    click.get_current_context().exit(code)
