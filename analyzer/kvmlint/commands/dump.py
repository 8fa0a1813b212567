"""``kvmlint dump``: what the engine saw of one function."""

from __future__ import annotations

import click

from kvmlint.commands.options import TREE, mended_by_the_user, options_of
from kvmlint.console import CLEAN, write


@click.group()
def dump() -> None:
    """Print what the engine saw of one function."""


_FUNCTION = options_of(
    click.argument("file", type=click.Path(exists=True, dir_okay=False)),
    click.argument("function"),
    TREE,
)


@dump.command("cfg")
@_FUNCTION
@click.option("--format", "form", type=click.Choice(["text", "dot"]), default="text")
def dump_cfg(file: str, function: str, tree: str | None, form: str) -> None:
    """The control-flow graph of FUNCTION in FILE."""
    from kvmlint import dump as engine

    with mended_by_the_user(file):
        text = engine.dump_cfg(file, function, tree, dot=form == "dot")
    write(text, None, CLEAN)


@dump.command("paths")
@_FUNCTION
@click.option("--format", "form", type=click.Choice(["text"]), default="text")
def dump_paths(file: str, function: str, tree: str | None, form: str) -> None:
    """States, effects and outcomes along each path of FUNCTION in FILE."""
    from kvmlint import dump as engine

    del form  # one so far; there so that both dumps are called alike
    with mended_by_the_user(file):
        text = engine.dump_paths(file, function, tree)
    write(text, None, CLEAN)
