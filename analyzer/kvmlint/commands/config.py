"""``kvmlint config``: what is in force for a path, and where each word of it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvmlint.commands.known import OPTIONS as BASELINES
from kvmlint.commands.options import (
    JOBS,
    LEVELS,
    OUTPUT,
    SELECT,
    TREE,
    chosen,
    config_for,
    given,
    knowledge_for,
    mended_by_the_user,
    options_of,
)
from kvmlint.console import CLEAN, write
from kvmlint.report.safe import safe

if TYPE_CHECKING:
    from kvmlint.config import Config
    from kvmlint.report.json import Json

VERSION = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """One option's value, and where it comes from: 'command line', 'file' (its ``line``, from 1),
    'found' (a tree above the path) or 'default'."""

    name: str
    value: str | int | list[str]
    source: str
    line: int = 0


@click.command()
@click.argument("path", default=".", type=click.Path())
@options_of(
    TREE,
    *SELECT,
    *LEVELS,
    JOBS,
    BASELINES[0],
    click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print it.",
    ),
    OUTPUT,
)
def config(
    path: str,
    tree: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    min_level: str | None,
    min_precision: str | None,
    jobs: int,
    baseline: str | None,
    form: str,
    output: str | None,
) -> None:
    """Print what is in force for PATH (the current folder), and from where: the command line, a
    .kvmlint.toml in or above it, or kvmlint's defaults. Nothing is analysed."""
    with mended_by_the_user():
        found = config_for(tree or path)
        options = chosen(found, tree, select, ignore, min_level, min_precision, jobs)
        knowledge_for(found)  # what [knowledge] says must be right, too

    def of(name: str, value: str | int | list[str]) -> Setting:
        if given(name.replace("-", "_")):
            return Setting(name, value, "command line")
        line = found.lines.get(name, 0)
        return Setting(name, value, "file" if line else "default", line)

    settings = [
        _tree(path, tree),
        of("select", sorted(options.select)),
        of("ignore", sorted(options.ignore)),
        of("min-level", options.min_level.value),
        of("min-precision", options.min_precision.value),
        of("jobs", options.jobs),
        of("baseline", found.baseline if baseline is None else baseline),
    ]
    text = _json(found, settings) if form == "json" else _text(found, settings)
    write(text, None if output == "-" else output, CLEAN)


def _tree(path: str, tree: str | None) -> Setting:
    from kvmlint.tree.extent import find_root

    root = Path(tree).resolve() if tree else find_root(Path(path))
    source = "command line" if tree else "found" if root is not None else "default"
    return Setting("tree", str(root or ""), source)


def _text(found: Config, settings: Sequence[Setting]) -> str:
    """Name, value, source in columns, one line each."""

    def place(line: int) -> str:
        return f"{found.path}:{line}"

    rows = [("file", found.path or "none", "")]
    for setting in settings:
        value = setting.value
        if setting.name == "select" and not value:
            words = "every rule"
        else:
            words = ", ".join(value) if isinstance(value, list) else str(value)
        rows.append(
            (
                setting.name,
                words or "none",
                place(setting.line) if setting.source == "file" else setting.source,
            )
        )
    rows += [("table", name, place(found.lines[name])) for name in found.tables]
    for entry in found.exemptions:
        function = "" if entry.function == "*" else f" {entry.function}"
        words = f"{entry.rule} in {entry.path}{function} -- {entry.reason}"
        rows.append(("suppress", words, place(entry.line)))
    names = max(len(name) for name, _, _ in rows)
    lines = (
        f"{name:{names}}  {safe(words)}{f'  ({safe(source)})' if source else ''}\n"
        for name, words, source in rows
    )
    return "".join(lines)


def _json(found: Config, settings: Sequence[Setting]) -> str:
    from kvmlint.report.json import dumps

    values: dict[str, Json] = {
        setting.name: {
            "value": setting.value,
            "from": setting.source,
            "line": setting.line or None,
        }
        for setting in settings
    }
    return dumps(
        {
            "version": VERSION,
            "file": found.path or None,
            "settings": values,
            "tables": [{"name": name, "line": found.lines[name]} for name in found.tables],
            "suppress": [
                {
                    "path": entry.path,
                    "function": entry.function,
                    "rule": entry.rule,
                    "reason": entry.reason,
                    "line": entry.line,
                }
                for entry in found.exemptions
            ],
        }
    )
