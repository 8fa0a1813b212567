"""What ``diff`` and ``patch`` share: their options, and how what a series brings is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import click

from kvmlint import __version__
from kvmlint.commands import catalogue
from kvmlint.commands.cache import NO_CACHE, state
from kvmlint.commands.options import (
    COLOR,
    FORMAT,
    JOBS,
    LEVELS,
    NOTIFICATIONS,
    OUTPUT,
    SELECT,
    STATISTICS,
    chosen,
)
from kvmlint.console import (
    CLEAN,
    FAILED,
    FINDINGS,
    say_failed,
    say_statistics,
    style_for,
    write,
)
from kvmlint.report import Report, render
from kvmlint.report.safe import safe

if TYPE_CHECKING:
    from kvmlint.cache import Store
    from kvmlint.config import Config
    from kvmlint.runner import Options
    from kvmlint.series import Outcome


class Wanted(TypedDict):
    """The values of OPTIONS, as click hands them on."""

    tree: str | None
    form: str
    output: str | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    min_level: str | None
    min_precision: str | None
    jobs: int
    no_cache: bool
    statistics: bool
    color: str
    show_notifications: bool


OPTIONS = (
    click.option(
        "-C",
        "--tree",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False),
        help="Kernel tree root, in a git repository, or a bare repository. Default: the repository "
        "around the current folder.",
    ),
    FORMAT,
    OUTPUT,
    *SELECT,
    *LEVELS,
    JOBS,
    NO_CACHE,
    STATISTICS,
    COLOR,
    NOTIFICATIONS,
)


def options(config: Config, wanted: Wanted) -> Options:
    """What the engine is asked for."""
    return chosen(
        config,
        wanted["tree"],
        wanted["select"],
        wanted["ignore"],
        wanted["min_level"],
        wanted["min_precision"],
        wanted["jobs"],
    )


def show(found: Outcome, wanted: Wanted, store: Store, seconds: float, problem: str = "") -> None:
    """Print what a series brings, and exit. ``problem`` is why the series ended early, ''."""
    output = None if wanted["output"] == "-" else wanted["output"]
    report = Report(
        found.diagnostics,
        found.notifications,
        catalogue.infos(),
        found.root,
        __version__,
        found.files,
    )
    style = style_for(wanted["color"], output, wanted["show_notifications"])
    failed = [notification for notification in found.notifications if notification.failed]
    code = FAILED if failed or problem else FINDINGS if found.diagnostics else CLEAN
    write(render(wanted["form"], report, style), output, code)
    say_failed(failed)
    if problem:
        click.echo(f"kvmlint: {safe(problem)}", err=True)
    if wanted["statistics"]:
        say_statistics(found.statistics, state(wanted["no_cache"], store), seconds)
    click.get_current_context().exit(code)
