"""What several commands share: options, settings, and errors that are the user's to mend."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from kvmlint.commands.catalogue import ids, infos
from kvmlint.diagnostic import Precision, Severity
from kvmlint.report import FORMATS
from kvmlint.report.safe import safe
from kvmlint.source import SourceError

if TYPE_CHECKING:
    from kvmlint.config import Config
    from kvmlint.knowledge import Knowledge
    from kvmlint.runner import Options

P = ParamSpec("P")


def choice(kind: type[Enum]) -> click.Choice[str]:
    """The values of an Enum, the highest first."""
    return click.Choice([member.value for member in reversed(list(kind))])


TREE = click.option(
    "--tree",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Kernel tree root. Default: the nearest folder above PATH that holds arch/.",
)
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="How to print findings.",
)
STATISTICS = click.option(
    "--statistics", is_flag=True, help="Print counts and times on standard error."
)
NOTIFICATIONS = click.option(
    "--show-notifications", is_flag=True, help="Print also what was not analysed."
)
OUTPUT = click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Print to FILE."
)
COLOR = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="auto: on a terminal, unless NO_COLOR is set.",
)
JOBS = click.option(
    "-j",
    "--jobs",
    metavar="N",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes; 0: one a CPU.",
)
SELECT = (
    click.option("--select", multiple=True, metavar="RULE,...", help="Only these rules."),
    click.option("--ignore", multiple=True, metavar="RULE,...", help="Not these rules."),
)
LEVELS = (
    click.option(
        "--min-level", type=choice(Severity), help="Hide findings below it. Default: warning."
    ),
    click.option(
        "--min-precision", type=choice(Precision), help="Hide less sure findings. Default: medium."
    ),
)


def options_of(
    *decorators: Callable[[Callable[P, None]], Callable[P, None]],
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Several options as one decorator, in the order in which ``--help`` lists them."""

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        for one in reversed(decorators):
            command = one(command)
        return command

    return decorate


def chosen(
    config: Config,
    tree: str | None,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    min_level: str | None = None,
    min_precision: str | None = None,
    jobs: int = 1,
) -> Options:
    """What the command line says, and where it says nothing, what the configuration file says."""
    from kvmlint.runner import Options

    known = infos()
    return Options(
        tree=tree,
        select=ids("--select", select, known) or frozenset(config.select),
        ignore=ids("--ignore", ignore, known) or frozenset(config.ignore),
        min_level=Severity(min_level) if min_level else config.min_level or Severity.WARNING,
        min_precision=(
            Precision(min_precision) if min_precision else config.min_precision or Precision.MEDIUM
        ),
        jobs=_jobs(config, jobs),
        exemptions=config.exemptions,
    )


def _jobs(config: Config, jobs: int) -> int:
    """Processes. A file comes with somebody's tree: it can ask for as many as there are CPUs."""
    cpus = len(os.sched_getaffinity(0))
    if config.jobs is not None and not given("jobs"):
        return min(config.jobs or cpus, cpus)
    return jobs or cpus


def given(option: str) -> bool:
    """Whether the user wrote an option of the command that runs on the command line."""
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source(option) if context is not None else None
    return source is click.core.ParameterSource.COMMANDLINE


@contextmanager
def mended_by_the_user(file: str = "") -> Iterator[None]:
    """Errors that are the user's to mend become one line and exit status 2; ``file`` is the one
    that a SourceError is about."""
    from kvmlint.knowledge.error import KnowledgeError

    try:
        yield
    except KnowledgeError as error:
        raise click.ClickException(safe(str(error))) from error
    except SourceError as error:
        raise click.ClickException(safe(f"{file}: {error}" if file else str(error))) from error


def config_for(start: str) -> Config:
    """The settings that hold for ``start``. Raises KnowledgeError."""
    from kvmlint import config

    file = config.find(Path(start))
    return config.load(file, [rule.id for rule in infos()]) if file else config.Config()


def knowledge_for(config: Config) -> Knowledge | None:
    """The tables with the project's additions; None: those that come with kvmlint."""
    from kvmlint.knowledge import builtin, extend

    return extend(builtin(), config.text, config.path) if config.text else None
