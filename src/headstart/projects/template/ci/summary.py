"""Describe what a change does to the model: Markdown for the reviewers of a pull request or merge request.

usage: python .ci/summary.py FILE [TARGET]

Run it after `dvc repro --pull`, in a clone with its whole history. The results are compared with those of the
commit of TARGET, the branch to merge into, that the change is based on; without TARGET, with those of the
commit before.

Exit status 1: dvc.lock does not record the results of this commit, or the DVC remote does not have them.
"""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

LOCK = Path("dvc.lock")
REPORT = Path("reports/report.html")
LISTED = 5  # names in a sentence; more are counted


def main(file: Path, target: str | None) -> int:
    """Write the summary to a file and the log; its exit status."""
    faults = list(problems())
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join(
        [f"> {verdict()}", *(f"**{fault}**" for fault in faults), *comparison(base_of(target))]
    )
    file.write_text(f"{text}\n", encoding="utf-8")
    print(text)
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(page).open("a", encoding="utf-8") as summary:
            summary.write(f"{text}\n")
    for fault in faults:
        print(f"{'::error::' if 'GITHUB_ACTIONS' in os.environ else 'error: '}{fault}", flush=True)
    return 1 if faults else 0


def verdict() -> str:
    """The first sentence of the report: what was measured, and what it is worth."""
    found = re.search(r'<p class="verdict[^"]*">(.*?)</p>', REPORT.read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise SystemExit(
            f"error: {REPORT} has no verdict: run `headstart upgrade`, which writes .ci/summary.py anew"
        )
    return html.unescape(found[1])


def base_of(target: str | None) -> str | None:
    """The commit to compare with, shortened; None for the first commit of a repository."""
    found = git("merge-base", "HEAD", target) if target else git("rev-parse", "HEAD^")
    if found.returncode and target:
        raise SystemExit(
            f"error: this clone has no commit that HEAD and {target} share: fetch the whole history "
            "(fetch-depth: 0 on GitHub, GIT_DEPTH: 0 on GitLab)"
        )
    return git("rev-parse", "--short", found.stdout.strip()).stdout.strip() if not found.returncode else None


def comparison(base: str | None) -> Iterator[str]:
    """Paragraphs on the metrics and parameters that differ from those of a commit."""
    if base is None:
        yield "This is the first commit, so there is nothing to compare its results with."
        return
    yield f"Compared with {base}:"
    metrics = dvc("metrics", "diff", "--md", "--all", "--no-path", base)
    yield metrics.stdout.strip()
    if metrics.stderr:  # such as metrics of the other commit that are not in the DVC remote
        yield f"`{' '.join(metrics.stderr.split())}`"
    if git("diff", "--quiet", base, "--", "data.dvc").returncode:
        yield "`data.dvc` differs, so the metrics were not measured on the same images."
    params = dvc("params", "diff", "--md", "--targets", "params.yaml", "--no-path", base).stdout.strip()
    yield params or "No parameter differs."


def problems() -> Iterator[str]:
    """Whatever is wrong with the dvc.lock of this commit, each with what to do."""
    committed = git("show", f"HEAD:./{LOCK}")
    if committed.returncode:
        yield f"This commit has no {LOCK}: run `dvc repro`, then `dvc push`, and commit {LOCK}."
        return
    recorded, now = (stages_of(text) for text in (committed.stdout, LOCK.read_text(encoding="utf-8")))
    if changed := out_of_date(recorded, now):
        yield (
            f"{LOCK} is out of date: it was made from other inputs of {'; '.join(changed)}. "
            f"Run `dvc repro`, then `dvc push`, and commit {LOCK}."
        )
    elif others := [name for name in now if now[name] != recorded[name]]:
        yield (
            f"The DVC remote does not have the results that {LOCK} records, and this machine computes others "
            f"for {listed(others)}. Run `dvc push` where they were made."
        )
    elif missing := not_in_remote():
        yield (
            f"The DVC remote does not have {listed(missing)}. Run `dvc push` where they were made, to a "
            "remote that this machine reaches too."
        )


def not_in_remote() -> list[str]:
    """Files of the images and results that the DVC remote lacks."""
    status = json.loads(dvc("data", "status", "--not-in-remote", "--json").stdout)
    return list(status.get("not_in_remote", []))


def stages_of(lock: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(lock)["stages"])


def out_of_date(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each stage whose inputs are not those recorded, with their names; what stages make is not an input."""
    made = {out["path"] for stage in now.values() for out in stage.get("outs", [])}
    changed = []
    for name, stage in now.items():
        before, after = (dict(inputs(each, made)) for each in (recorded.get(name, {}), stage))
        if differing := [each for each in before | after if before.get(each) != after.get(each)]:
            changed.append(f"{name} ({listed(differing)})")
    return changed


def inputs(stage: Mapping[str, Any], made: set[str]) -> Iterator[tuple[str, object]]:
    """Names and values of what a stage reads and runs."""
    yield "cmd", stage.get("cmd")
    yield from ((dep["path"], dep) for dep in stage.get("deps", []) if dep["path"] not in made)
    for file, values in stage.get("params", {}).items():
        yield from ((f"{file}: {key}", value) for key, value in leaves(values))


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and values of nested mappings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *arguments], capture_output=True, text=True)


def dvc(*arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: `dvc {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else None))
