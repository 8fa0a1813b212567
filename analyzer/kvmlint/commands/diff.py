"""``kvmlint diff``: what a range of commits, or what is not committed yet, brings."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Unpack

import click

from kvmlint.commands import brought, catalogue
from kvmlint.commands.brought import Wanted
from kvmlint.commands.cache import store_for
from kvmlint.commands.options import config_for, knowledge_for, mended_by_the_user, options_of
from kvmlint.report.safe import safe


@click.command()
@click.argument("revision", required=False, metavar="[REV | A..B | A...B]")
@options_of(
    click.option("--staged", is_flag=True, help="What the next commit would bring: the index."),
    *brought.OPTIONS,
)
def diff(revision: str | None, staged: bool, **wanted: Unpack[Wanted]) -> None:
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

    Nothing is written to the repository: no index, no work tree, no object. Versions are analysed
    one after the other, in one process whatever -j says: what they share is analysed once.

    Exit status: 0 clean, 1 findings, 2 usage error or failed analysis.
    """
    from kvmlint import diff as engine
    from kvmlint.git.command import GitError
    from kvmlint.git.repository import find
    from kvmlint.knowledge import builtin
    from kvmlint.series import examine

    tree = wanted["tree"]
    if staged and revision is not None:
        raise click.UsageError("--staged and a revision exclude each other")
    with mended_by_the_user(), store_for(wanted["no_cache"]) as store:
        config = config_for(tree or ".")
        options = brought.options(config, wanted)
        knowledge = knowledge_for(config) or builtin()
        began = perf_counter()
        try:
            with closing(find(Path(tree or "."))) as repository:
                if staged:
                    head = repository.head()
                    place = engine.place_of(repository, tree, head)
                    series = engine.staged_series(place, head)
                else:
                    range_ = engine.range_of(repository, revision)
                    place = engine.place_of(repository, tree, range_.tip)
                    series = engine.series_of(place, range_, knowledge)
                found = examine(series, options, catalogue.rules(), knowledge, store)
        except GitError as error:
            raise click.ClickException(safe(str(error))) from error
        seconds = perf_counter() - began
    brought.show(found, wanted, store, seconds)
