"""``kvmlint patch``: what mailed patches bring."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Unpack

import click

from kvmlint.commands import brought, catalogue
from kvmlint.commands.brought import Wanted
from kvmlint.commands.cache import store_for
from kvmlint.commands.options import config_for, knowledge_for, mended_by_the_user, options_of
from kvmlint.report.safe import safe

if TYPE_CHECKING:
    from kvmlint.cache import Store
    from kvmlint.config import Config
    from kvmlint.mails import Mail
    from kvmlint.patch import Applied
    from kvmlint.runner import Options
    from kvmlint.series import Outcome


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE... | -]", type=click.Path())
@options_of(*brought.OPTIONS)
def patch(files: tuple[str, ...], **wanted: Unpack[Wanted]) -> None:
    """Report what mailed patches bring, per patch; the work tree is not touched.

    A FILE is a patch, as mailed or as printed by git diff, or an mbox (lei, b4 am, patchwork); -
    or no FILE is standard input. Patches are taken in the order given, or by their [PATCH n/m];
    cover letters and answers are passed over.

    They are applied, in a temporary place, to the commit that the series names (base-commit:), to
    the parent of a recent commit that is the first patch already, or to HEAD; else to the blobs
    that the first patch names. Paths are seen from the top of the repository. Where there is no
    repository, they are applied to the files on disk, in copies. An answer with a diff counts only
    where there is no other patch.

    Nothing is written to the repository: no index, no work tree, no object.

    Exit status: 0 clean, 1 findings, 2 usage error, a patch that does not apply (what those before
    it bring is printed), or failed analysis.
    """
    from kvmlint.mails import MailError, read

    with mended_by_the_user(), store_for(wanted["no_cache"]) as store:
        config = config_for(wanted["tree"] or ".")
        options = brought.options(config, wanted)
        began = perf_counter()
        try:
            mails = read(texts(files))
        except MailError as error:
            raise click.ClickException(safe(str(error))) from error
        found, problem = examined(mails, wanted["tree"], config, options, store)
        seconds = perf_counter() - began
    brought.show(found, wanted, store, seconds, problem)


def texts(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file. Raises ClickException."""
    from kvmlint.mails import MOST_BYTES

    for file in files or ("-",):
        try:
            if file != "-":
                with Path(file).open("rb") as stream:
                    yield file, stream.read(MOST_BYTES + 1)
            elif sys.stdin is None:
                raise click.ClickException("standard input is closed")
            else:
                yield "standard input", sys.stdin.buffer.read(MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "can't be read"
            raise click.ClickException(f"{safe(file)}: {why.lower()}") from None


def examined(
    mails: Sequence[Mail], tree: str | None, config: Config, options: Options, store: Store
) -> tuple[Outcome, str]:
    """What patches bring, and why the series ends early, '' when it doesn't. Raises
    ClickException."""
    from kvmlint.git.command import GitError
    from kvmlint.knowledge import builtin
    from kvmlint.series import examine

    knowledge = knowledge_for(config) or builtin()
    try:
        with _applied(mails, tree) as applied:
            found = examine(applied.series, options, catalogue.rules(), knowledge, store)
    except GitError as error:
        raise click.ClickException(safe(str(error))) from error
    return found, applied.problem


@contextmanager
def _applied(mails: Sequence[Mail], tree: str | None) -> Iterator[Applied]:
    """The series, on top of a commit, or of a folder's files where there is no repository. Raises
    GitError."""
    from kvmlint.diff import place_of
    from kvmlint.git.beside import beside
    from kvmlint.git.repository import NoRepositoryError, find
    from kvmlint.git.workbench import workbench
    from kvmlint.patch import Ground, names, series_in, series_of
    from kvmlint.source import FolderSources
    from kvmlint.tree.extent import find_root

    try:
        repository = find(Path(tree or "."))
    except NoRepositoryError:
        root = Path(tree).resolve() if tree else find_root(Path.cwd())
        folder = root if root is not None else Path.cwd()
        with beside(folder, names(mails)) as (bench, made):
            yield series_in(bench, Ground(made, FolderSources(folder)), mails)
        return
    with closing(repository), workbench(repository) as bench:
        yield series_of(bench, place_of(repository, tree, repository.head()), mails)
