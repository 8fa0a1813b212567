"""The command line: a stable contract. Options never change meaning between releases.

Exit status: 0 clean, 1 findings were printed, 2 usage error or failed analysis. Nothing heavy is
imported up here or by kvmlint.commands: ``--help`` and ``explain`` must not pay for parser, graph
or SARIF library.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from kvmlint import __version__
from kvmlint.commands import catalogue
from kvmlint.commands.audit import audit
from kvmlint.commands.b4 import b4
from kvmlint.commands.cache import cache
from kvmlint.commands.check import check
from kvmlint.commands.config import config
from kvmlint.commands.diff import diff
from kvmlint.commands.dump import dump
from kvmlint.commands.explain import explain
from kvmlint.commands.patch import patch
from kvmlint.console import Commands, run


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="PATH... | COMMAND",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """When a hypercall fails, is the host's own state still right?

    kvmlint PATH... reads Linux KVM/arm64 C (files, folders, - for standard input) and reports
    paths on which it is not. Exit status: 0 clean, 1 findings, 2 usage error or failed analysis.
    """


for _command in (check, diff, patch, b4, audit, explain, config, cache, dump):
    app.add_command(_command)


def main() -> NoReturn:
    """Entry point of the ``kvmlint`` command."""
    run(app)


def write_rule_table(path: str) -> None:
    """Writes README.md's rule table anew (``make readme``). ValueError: no place for it."""
    from kvmlint.report.rules import with_table

    readme = Path(path)
    infos = [rule.info() for rule in catalogue.rules()]
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), infos), encoding="utf-8")
