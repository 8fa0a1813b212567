"""A repository with the demo, edits that break and mend it, and kvmlint run on it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.repos import Repo, environment, new_repo

ROOT = Path(__file__).resolve().parent.parent
LEND = "arch/arm64/kvm/lend.c"
HANDLERS = "arch/arm64/kvm/hyp/nvhe/hyp-main.c"
CALL = "	ret = kvm_call_hyp_nvhe(__demo_host_share_page, pfn, 1);\n"
UNDO = "	if (ret) {\n		rb_erase(&page->node, &lent_pages);\n		kfree(page);\n	}\n"
MARKED = (
    "\nint lend_marked(struct lent_page *page)\n{\n\tlist_add(&page->list, &marked);\n"
    "\treturn kvm_call_hyp_nvhe(__demo_host_share_page, page->pfn);\n}\n"
)
COMMAND = (
    "import sys\n"
    f"sys.path[:0] = {[str(ROOT / 'analyzer'), str(ROOT / 'rules')]!r}\n"
    "from kvmlint.cli import main\nmain()\n"
)


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def functions(self) -> list[str]:
        """'N rule function' of each finding of a JSON report, in the order of the series."""
        return [
            f"{d['commit']['number']} {d['rule']} {d['function']}"
            for d in json.loads(self.out)["findings"]
            if d["commit"]["new"]
        ]


@dataclass(frozen=True)
class Series:
    """A repository with the demo, and the mails of what came after its first commit."""

    repo: Repo
    home: Path

    def kvmlint(self, *words: str, stdin: bytes = b"") -> Said:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *words],
            cwd=self.repo.path,
            env={**environment(self.home), "XDG_CACHE_HOME": str(self.home / "cache")},
            input=stdin,
            capture_output=True,
            timeout=300,
            check=False,
        )
        err = done.stderr.decode("utf-8", "surrogateescape")
        assert "Traceback" not in err, err
        return Said(done.returncode, done.stdout.decode("utf-8", "surrogateescape"), err)

    def patch(self, stdin: bytes, *words: str) -> Said:
        return self.kvmlint("patch", "--format", "json", *words, stdin=stdin)

    def break_it(self) -> None:
        """Take the undo out of lend_page_checked()."""
        text = self.repo.read(LEND)
        assert text.count(CALL + UNDO) == 1
        self.repo.write(LEND, text.replace(CALL + UNDO, CALL))

    def mend_it(self) -> None:
        before, _, rest = self.repo.read(LEND).partition("int lend_page_checked")
        self.repo.write(LEND, before + "int lend_page_checked" + rest.replace(CALL, CALL + UNDO, 1))

    def mails(self, *words: str, since: str = "base") -> bytes:
        self.repo.git("format-patch", "-q", "-o", str(self.home / "m"), *words, f"{since}..HEAD")
        files = sorted((self.home / "m").iterdir())
        found = b"".join(file.read_bytes() for file in files)
        shutil.rmtree(self.home / "m")
        return found


def new_series(path: Path) -> Series:
    """The demo as the first commit of a repository, tagged 'base'."""
    repo = new_repo(path / "linux")
    shutil.copytree(ROOT / "fixtures" / "demo", repo.path, dirs_exist_ok=True)
    repo.commit("a kernel")
    repo.git("tag", "base")
    (path / "home").mkdir()
    return Series(repo, path / "home")
