"""``--baseline`` and ``--write-baseline``: what a project knows already is not printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvmlint.console import CLEAN, FAILED, write
from kvmlint.diagnostic import Diagnostic
from kvmlint.report.safe import safe

if TYPE_CHECKING:
    from kvmlint.baseline import Baseline
    from kvmlint.runner import Result

OPTIONS = (
    click.option(
        "--baseline", metavar="FILE", type=click.Path(), help="Hide the findings that FILE knows."
    ),
    click.option(
        "--write-baseline",
        metavar="FILE",
        type=click.Path(dir_okay=False, allow_dash=True),
        help="Write what is found to FILE, and print nothing.",
    ),
)


def without(baseline: Baseline, result: Result) -> Result:
    """A run's result without the findings that the baseline knows (they count as suppressed), and
    with what is to be said about the baseline."""
    from kvmlint import baseline as engine
    from kvmlint.inputs import relative
    from kvmlint.source import SourceFile

    root = Path(result.root)
    file = SourceFile(relative(baseline.file.path, root), baseline.file.data)
    judged = engine.apply(
        replace(baseline, file=file),
        result.diagnostics,
        result.below,
        result.suppressed,
        result.scope,
        lambda path: (root / path).is_file(),
    )
    return replace(
        result,
        diagnostics=tuple(sorted((*judged.kept, *judged.stale), key=Diagnostic.sort_key)),
        suppressed=tuple(sorted((*result.suppressed, *judged.known), key=Diagnostic.sort_key)),
        files={**result.files, file.path: file.data} if judged.stale else result.files,
        statistics=(*result.statistics, ("in the baseline", str(len(judged.known)))),
    )


def write_down(name: str, result: Result) -> int:
    """Writes what was found, whatever it is; the exit status. Nothing is written when an input
    could not be read: such a baseline would call known findings new."""
    from kvmlint import baseline as engine

    if any(notification.failed for notification in result.notifications):
        click.echo(f"kvmlint: {safe(name)}: not written, because of what follows", err=True)
        return FAILED
    write(engine.write(result.diagnostics), None if name == "-" else name, CLEAN)
    return CLEAN
