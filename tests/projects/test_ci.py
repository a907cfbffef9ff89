"""The workflows of a project, run step by step as GitHub and GitLab would, with their servers on loopback."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm
from ci import BASH, SH, Comments, Job, comment_server, run_github, run_gitlab
from own_projects import make_project
from projects import ROOT, commit, dvc, edit_params, run
from ruamel.yaml import YAML

from headstart.projects import upgrading

CI = ROOT / "src/headstart/projects/template/ci"
GITHUB, GITLAB = CI / "github.yaml", CI / "gitlab.yaml"
NUMBER = 7  # of the pull request
# `make install` of a test: the environment of the tests, by the warm interpreter
MAKEFILE = """\
install:
	mkdir -p .venv/bin
	printf '#!/bin/sh\\nexec {python} "$$@"\\n' >.venv/bin/python
	printf '#!/bin/sh\\nexec {python} -m dvc "$$@"\\n' >.venv/bin/dvc
	chmod +x .venv/bin/*

data:
	bin/headstart data

test:
	test -s reports/metrics.json && test ! -e broken
"""


@pytest.fixture(scope="module")
def origin(common_trained: Path) -> Path:
    """A bare git remote of a project whose branch main has results; they are in its DVC remote."""
    root = common_trained
    (root / "Makefile").write_text(MAKEFILE.format(python=warm.python()))
    shutil.copytree(CI, root / ".ci", ignore=shutil.ignore_patterns("*.yaml", "__pycache__"))
    with (root / ".gitignore").open("a") as ignored:
        ignored.write(".venv/\n")
    dvc(root, "push", "--quiet")
    commit(root)
    bare = root.parent / "origin.git"
    run(root, "git", "clone", "--quiet", "--bare", ".", str(bare))
    run(root, "git", "remote", "add", "origin", str(bare))
    return bare


@pytest.fixture
def comments() -> Iterator[Comments]:
    with comment_server() as served:
        yield served


@pytest.fixture
def branch(in_common: Path, origin: Path, tmp_path: Path) -> Path:
    """An author's clone on a new branch `change`, with the project's DVC cache."""
    root = tmp_path / "author"
    run(tmp_path, "git", "clone", "--quiet", str(origin), str(root))
    dvc(root, "cache", "dir", "--local", str(in_common / "project/.dvc/cache"))
    run(root, "git", "switch", "--quiet", "--create", "change")
    return root


def push(author: Path, refspec: str = "change") -> str:
    commit(author)
    run(author, "git", "push", "--quiet", "--force", "origin", refspec)
    return run(author, "git", "rev-parse", "HEAD").stdout.strip()


def clone(author: Path, origin: Path) -> Path:
    """The clone of CI: the whole history, with the commit to test detached; it has no cache."""
    root = author.parent / "ci"
    shutil.rmtree(root, ignore_errors=True)
    run(author.parent, "git", "clone", "--quiet", str(origin), str(root))
    run(
        root, "git", "checkout", "--quiet", "--detach", run(author, "git", "rev-parse", "HEAD").stdout.strip()
    )
    return root


def on_github(
    author: Path, origin: Path, comments: Comments, *, name: str = "pull_request", **contexts: str
) -> Job:
    """Push the author's tree and run the workflow on it."""
    head = push(author)
    root = clone(author, origin)
    event = {
        "github.event_name": name,
        "github.base_ref": "main" if name == "pull_request" else "",
        "github.repository": "team/project",
        "github.event.pull_request.head.repo.full_name": "team/project",
        "github.event.pull_request.head.sha": head,
        "github.token": "SECRET",
        **{key.replace("__", "."): value for key, value in contexts.items()},
    }
    environment = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": comments.address,
        "GITHUB_REF": f"refs/pull/{NUMBER}/merge" if name == "pull_request" else "refs/heads/main",
        "GITHUB_REPOSITORY": "team/project",
        "GITHUB_RUN_ID": "1234",
        "GITHUB_SERVER_URL": "https://github.example.org",
        "GITHUB_SHA": head,
        "HEADSTART_PYTHON": warm.python(),
    }
    return run_github(GITHUB, root, event, environment)


def on_gitlab(
    author: Path, origin: Path, comments: Comments, *, token: str = "SECRET", shell: tuple[str, ...] = SH
) -> Job:
    head = push(author)
    root = clone(author, origin)
    environment = {
        "GITLAB_CI": "true",
        "GITLAB_TOKEN": token,
        "CI_API_V4_URL": comments.address,
        "CI_COMMIT_SHA": head,
        "CI_JOB_URL": "https://gitlab.example.org/team/project/-/jobs/1234",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": run(root, "git", "rev-parse", "origin/main").stdout.strip(),
        "CI_MERGE_REQUEST_IID": str(NUMBER),
        "CI_MERGE_REQUEST_PROJECT_ID": "42",
        "HEADSTART_PYTHON": warm.python(),
    }
    return run_gitlab(GITLAB, root, environment, shell)


def test_a_pull_request_gets_one_comment_that_later_pushes_update(
    branch: Path, origin: Path, comments: Comments
) -> None:
    edit_params(branch, **{"train.epochs": 9})
    job = on_github(branch, origin, comments)
    assert job.status == "failure", job.output
    assert "Running stage 'train'" in job.output
    assert "Running stage 'features'" not in job.output
    advice = (
        "dvc.lock is out of date: it was made from other inputs of train (params.yaml: train.epochs). "
        "Run `dvc repro`, then `dvc push`, and commit dvc.lock."
    )
    assert f"::error::{advice}" in job.output
    assert job.steps[-2:] == ["Comment", "Remove the credentials"]
    assert comments.of("POST", "PATCH") == [("POST", f"/repos/team/project/issues/{NUMBER}/comments")]
    (text,) = comments.held.values()
    assert "\n> The model is right for " in text or "\n> Not usable" in text
    assert f"**{advice}**" in text
    assert re.search(r"^\| log_loss +\| [\d.e-]+ +\| [\d.e-]+ +\| -?[\d.e-]+ +\|$", text, re.MULTILINE)
    assert re.search(r"^\| train.epochs +\| 12 +\| 9 +\|$", text, re.MULTILINE)
    assert "The job failed: [log](https://github.example.org/team/project/actions/runs/1234)." in text
    summary = (branch.parent / "ci-github_step_summary").read_text()
    assert summary in text

    computed = branch.parent / "ci"  # the same as the author would compute
    dvc(computed, "push", "--quiet")
    shutil.copy(computed / "dvc.lock", branch)
    job = on_github(branch, origin, comments)
    assert job.status == "success", job.output
    assert "Running stage" not in job.output
    assert comments.of("POST", "PATCH")[1:] == [("PATCH", "/repos/team/project/issues/comments/1")]
    (text,) = comments.held.values()
    assert "dvc.lock is out of date" not in text
    assert "The job succeeded" in text
    assert {headers["Authorization"] for _, _, headers, _ in comments.calls} == {"Bearer SECRET"}


def test_a_merge_request_gets_one_note(branch: Path, origin: Path, comments: Comments) -> None:
    edit_params(branch, **{"gate.margin": 0.4})  # no stage depends on it
    notes = f"/projects/42/merge_requests/{NUMBER}/notes"
    for shell, call in ((SH, ("POST", notes)), (BASH, ("PUT", f"{notes}/1"))):
        job = on_gitlab(branch, origin, comments, shell=shell)
        assert job.status == "success", job.output
        assert comments.of("POST", "PUT")[-1] == call
    (text,) = comments.held.values()
    assert re.search(r"^\| gate.margin +\| 0.5 +\| 0.4 +\|$", text, re.MULTILINE)
    assert "The job succeeded: [log](https://gitlab.example.org/team/project/-/jobs/1234)." in text
    assert {headers["Private-Token"] for _, _, headers, _ in comments.calls} == {"SECRET"}


def test_data_that_does_not_validate_fails_the_job_with_the_reason(
    branch: Path, origin: Path, comments: Comments
) -> None:
    dvc(branch, "checkout", "--quiet", "data.dvc")
    for path in (branch / "data" / "dark").iterdir():
        path.unlink()
    dvc(branch, "add", "--quiet", "data")
    dvc(branch, "push", "--quiet")
    job = on_github(branch, origin, comments)
    assert job.status == "failure"
    assert job.steps[-3:] == ["Validation", "Comment", "Remove the credentials"]
    assert re.search(r"headstart validate: error: .*\n  - 1 class with images: light", job.output), job.output
    (text,) = comments.held.values()
    assert "There are no results, because the job failed before: [log](https://github.example.org/" in text


def withhold_evaluation(author: Path, project: Path) -> None:
    """Give a branch a DVC remote that lacks what the last stage wrote."""
    remote = author.parent / "partial"
    shutil.copytree(project.with_name("project-remote"), remote)
    for out in YAML(typ="safe").load(author / "dvc.lock")["stages"]["evaluate"]["outs"]:
        (remote / "files/md5" / out["md5"][:2] / out["md5"][2:]).unlink(missing_ok=True)
    dvc(author, "remote", "modify", "local", "url", str(remote))


@pytest.mark.slow
def test_results_that_were_not_pushed_fail_the_job(
    branch: Path, common_trained: Path, origin: Path, comments: Comments
) -> None:
    withhold_evaluation(branch, common_trained)
    job = on_github(branch, origin, comments)
    assert job.status == "failure"
    assert "Running stage 'evaluate'" in job.output
    assert re.search(r"::error::The DVC remote does not have .*reports/", job.output), job.output
    assert "Run `dvc push` where they were made" in job.output
    assert "dvc.lock is out of date" not in job.output


@pytest.mark.slow
def test_main_pushes_what_it_computed_if_the_team_wants_that(
    branch: Path, common_trained: Path, origin: Path, comments: Comments
) -> None:
    withhold_evaluation(branch, common_trained)
    edit_params(branch, **{"gate.margin": 0.3})
    job = on_github(branch, origin, comments, name="push", vars__DVC_PUSH="true")
    assert job.status == "success", job.output
    assert "Push results" in job.steps
    assert "Comment" not in job.steps
    assert comments.calls == []
    assert re.search(r"\| gate.margin +\| 0.5 +\| 0.3 +\|", job.output)  # compared with the commit before


def test_a_fork_learns_why_its_data_is_missing(branch: Path, origin: Path, comments: Comments) -> None:
    dvc(branch, "remote", "modify", "local", "url", str(branch.parent / "unreachable"))
    fork = {"github__event__pull_request__head__repo__full_name": "guest/project"}
    comments.answers = [403]
    job = on_github(branch, origin, comments, **fork)
    assert job.status == "failure"
    assert "::error::This pull request comes from a fork, so the run got no secrets" in job.output
    assert comments.held == {}


@pytest.mark.slow
def test_a_failing_test_of_the_project_is_commented(branch: Path, origin: Path, comments: Comments) -> None:
    (branch / "broken").touch()
    job = on_github(branch, origin, comments)
    assert job.status == "failure"
    (text,) = comments.held.values()
    assert "| log_loss" in text
    assert "The job failed" in text


def test_credentials_are_readable_by_their_owner_alone_and_do_not_stay(
    branch: Path, origin: Path, comments: Comments
) -> None:
    (branch / "Makefile").write_text(
        "install:\ndata:\n\tls -l .dvc/config.local; cat .dvc/config.local; false\n"
    )
    job = on_github(branch, origin, comments, secrets__DVC_CONFIG_LOCAL="['remote \"local\"']\n    user = me")
    assert "-rw-------" in job.output
    assert "    user = me" in job.output
    assert not (branch.parent / "ci/.dvc/config.local").exists()


@pytest.fixture
def comment(tmp_path: Path, comments: Comments, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A summary to comment on GitHub."""
    for name in ("GITLAB_CI", "COMMIT"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "ACTIONS": "true",
        "API_URL": comments.address,
        "REF": f"refs/pull/{NUMBER}/merge",
        "REPOSITORY": "team/project",
        "RUN_ID": "1",
        "SERVER_URL": "https://github.example.org",
        "SHA": "0123456789",
        "TOKEN": "SECRET",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    file = tmp_path / "summary.md"
    file.write_text("| the | table |\n")
    return file


def publish(file: Path, status: int = 0) -> str:
    command = [sys.executable, "-S", str(CI / "comment.py"), str(file), "success"]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_token_that_may_not_comment_leaves_the_table_in_the_log(
    status: int, comment: Path, comments: Comments
) -> None:
    comments.answers = [200, status]
    output = publish(comment)
    assert "| the | table |" in output
    assert f"warning: not commented ({status} " in output
    assert "pull-requests: write" in output


def test_a_server_that_fails_is_asked_again(
    comment: Path, comments: Comments, monkeypatch: pytest.MonkeyPatch
) -> None:
    comments.answers = [502]
    assert publish(comment) == "created comment 1\n"


def test_a_server_that_keeps_failing_is_an_error(comment: Path, comments: Comments) -> None:
    comments.answers = [500] * 3
    output = publish(comment, status=1)
    assert "error: cannot comment at " in output
    assert "500 " in output
    assert "| the | table |" in output


def test_the_comment_is_found_on_a_later_page(comment: Path, comments: Comments) -> None:
    comments.held = {number: f"> comment {number}" for number in range(1, 151)}
    assert publish(comment) == "created comment 151\n"
    comment.write_text("another table\n")
    assert publish(comment) == "updated comment 151\n"
    assert "another table" in comments.held[151]


def test_a_long_summary_is_cut(comment: Path, comments: Comments) -> None:
    comment.write_text("| row |\n" * 20_000)
    publish(comment)
    assert 60_000 < len(comments.held[1]) < 65_536
    assert comments.held[1].endswith(
        "The rest is in the [log](https://github.example.org/team/project/actions/runs/1)."
    )


def test_only_what_is_needed_is_granted() -> None:
    document = YAML(typ="safe").load(GITHUB)
    assert document["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert set(document["on"]) == {"pull_request", "push"}
    (job,) = document["jobs"].values()
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", each) for each in used)
    assert job["steps"][0]["with"]["persist-credentials"] is False
    with_token = [step["name"] for step in job["steps"] if "github.token" in str(step.get("env"))]
    assert with_token == ["Comment"]


def test_both_set_what_keeps_dependencies_silent() -> None:
    from headstart.host.project import QUIET

    for settings in (
        YAML(typ="safe").load(GITHUB)["env"],
        YAML(typ="safe").load(GITLAB)["headstart"]["variables"],
    ):
        silent = {name: value for name, value in settings.items() if name in QUIET}
        assert silent == {name: QUIET[name] for name in silent}
        assert {"DO_NOT_TRACK", "GX_ANALYTICS_ENABLED", "MLFLOW_DISABLE_TELEMETRY"} <= set(silent)


@pytest.mark.parametrize(
    ("ci", "workflow"), [("github", ".github/workflows/headstart.yaml"), ("gitlab", ".gitlab-ci.yml")]
)
def test_a_project_gets_one_workflow_and_its_scripts(ci: str, workflow: str, tmp_path: Path) -> None:
    root = tmp_path / "project"
    make_project(root, ci=ci)
    tracked = run(root, "git", "ls-files", ".ci", ".github", ".gitlab-ci.yml").stdout.split()
    assert sorted(tracked) == sorted([".ci/comment.py", ".ci/summary.py", workflow])
    text = (root / workflow).read_text()
    called = set(re.findall(r"\.ci/\w+\.py", text))
    assert called == {".ci/comment.py", ".ci/summary.py"}
    if ci == "gitlab":
        assert f"image: python:{sys.version_info.major}.{sys.version_info.minor} " in text
    assert upgrading.plan(root).added == ()
