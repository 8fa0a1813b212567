"""``kvmlint cache``: what is kept of earlier runs, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kvmlint.console import CLEAN, write
from kvmlint.report.safe import safe

if TYPE_CHECKING:
    from kvmlint.cache import Store

NO_CACHE = click.option(
    "--no-cache", is_flag=True, help="Neither use nor keep results of earlier runs."
)


@contextmanager
def store_for(no_cache: bool) -> Iterator[Store]:
    """The user's store; one in memory, gone after the run, for those who want none."""
    from kvmlint.cache import Store, default_file

    store = Store(None if no_cache else default_file())
    try:
        yield store
    finally:
        store.close()


def state(no_cache: bool, store: Store) -> str:
    """What ``--statistics`` says of a run's store."""
    return "off" if no_cache else store.problem or "on"


@click.group()
def cache() -> None:
    """Results of earlier runs: where they are kept, how many, and how to remove them."""


@cache.command("info")
def cache_info() -> None:
    """Print where results are kept, how many there are, and their size."""
    from kvmlint.cache import Store, default_file

    file = default_file()
    store = Store(file)
    try:
        there = file.is_file()
        count = store.count() if there else 0
        size = file.stat().st_size if there else 0
    except OSError as error:
        raise click.ClickException(f"{safe(str(file))}: {_why(error)}") from None
    finally:
        store.close()
    lines = [f"file: {safe(str(file))}", f"results: {count}", f"bytes: {size}"]
    if store.problem:
        lines.append(f"not used: {safe(store.problem)}")
    write("".join(f"{line}\n" for line in lines), None, CLEAN)


@cache.command("clear")
def cache_clear() -> None:
    """Remove the results. What isn't kvmlint's is left alone."""
    from kvmlint.cache import default_file, is_ours

    file = default_file()
    try:
        if not file.exists() and not file.is_symlink():
            return
        if not is_ours(file):
            raise click.ClickException(
                f"{safe(str(file))} is no cache of kvmlint, and was left alone"
            )
        for part in (file, *(file.with_name(f"{file.name}-{end}") for end in ("journal", "wal"))):
            part.unlink(missing_ok=True)
    except OSError as error:
        raise click.ClickException(f"{safe(str(file))}: {_why(error)}") from None


def _why(error: OSError) -> str:
    return (error.strerror or "can't be removed").lower()
