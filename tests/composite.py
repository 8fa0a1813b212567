"""A small runner for our own composite action: its shell steps run, other actions are written down.

Knows the expressions that action.yml uses, and no others: a name (``inputs.x``), a text in single
quotes, ``==``, ``&&``.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ruamel.yaml import YAML

Yaml: TypeAlias = "dict[str, Yaml] | list[Yaml] | str | int | float | bool | None"

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")


def load(file: Path) -> dict[str, Yaml]:
    value: Yaml = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    return table(value)


def table(value: Yaml) -> dict[str, Yaml]:
    assert isinstance(value, dict)
    return value


def steps(action: dict[str, Yaml]) -> list[dict[str, Yaml]]:
    found = table(action["runs"])["steps"]
    assert isinstance(found, list)
    return [table(step) for step in found]


@dataclass
class Run:
    """What a run did. ``status`` is that of the step that failed, or 0; ``used`` are the steps that
    other actions would have carried out, with their inputs; ``outputs`` the action's own."""

    status: int = 0
    out: str = ""
    err: str = ""
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def run(
    file: Path,
    inputs: Mapping[str, str],
    github: Mapping[str, str],
    environ: Mapping[str, str],
    answers: Mapping[str, str],
) -> Run:
    """Runs an action. ``github`` are names as ``event.pull_request.base.sha``, ``environ`` is what
    the runner gives every step, ``answers`` the outputs of other actions (``steps.ID.outputs.X``).
    """
    action = load(file)
    declared = table(action["inputs"])
    assert inputs.keys() <= declared.keys()
    names = {f"inputs.{name}": str(table(row)["default"]) for name, row in declared.items()}
    names |= {f"inputs.{name}": value for name, value in inputs.items()}
    names |= {f"github.{name}": value for name, value in github.items()}
    names |= answers
    done = Run()
    for step in steps(action):
        condition = step.get("if")
        if condition is not None and _filled(condition, names) != "true":
            continue
        if "uses" in step:
            given = table(step["with"]).items()
            used = str(step["uses"])
            done.used[used] = {name: _filled(value, names) for name, value in given}
            continue
        output = Path(environ["RUNNER_TEMP"]) / "output"
        output.write_text("")
        told = {name: _filled(value, names) for name, value in table(step.get("env", {})).items()}
        script = Path(environ["RUNNER_TEMP"]) / "step.sh"
        script.write_text(str(step["run"]))
        assert step["shell"] == "bash"
        shell = subprocess.run(
            # What GitHub makes of shell: bash, and -u besides.
            ["bash", "--noprofile", "--norc", "-euo", "pipefail", str(script)],
            cwd=environ["GITHUB_WORKSPACE"],
            env={**environ, **told, "GITHUB_OUTPUT": str(output)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        done.out += os.fsdecode(shell.stdout)
        done.err += os.fsdecode(shell.stderr)
        if shell.returncode:
            done.status = shell.returncode
            break
        for line in output.read_text().splitlines():
            name, _, value = line.partition("=")
            names[f"steps.{step['id']}.outputs.{name}"] = value
    for name, row in table(action["outputs"]).items():
        done.outputs[name] = _filled(table(row)["value"], names)
    return done


def _filled(value: Yaml, names: Mapping[str, str]) -> str:
    """A value with its expressions evaluated, as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return EXPRESSION.sub(lambda found: _value(found[1], names), str(value))


def _value(expression: str, names: Mapping[str, str]) -> str:
    if "&&" in expression:
        parts = expression.split("&&")
        return "true" if all(_value(part, names) == "true" for part in parts) else "false"
    if "==" in expression:
        left, right = expression.split("==")
        return "true" if _value(left, names) == _value(right, names) else "false"
    word = expression.strip()
    if word.startswith("'"):
        return word.strip("'")
    assert re.fullmatch(r"[\w.-]+", word), word
    return names.get(word, "")
