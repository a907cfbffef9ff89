"""Keep one comment on a pull request (GitHub) or merge request (GitLab), and update it on later pushes.

usage: python3 .ci/comment.py FILE OUTCOME

FILE is the Markdown of .ci/summary.py, which is missing if the job failed before; OUTCOME is `success`, or
what CI calls a failure. It needs nothing but Python. If the token may not comment, the text is printed, with
what to set.
"""

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = "<!-- headstart: this comment is updated by CI -->"
LIMIT = 60_000  # characters; GitHub refuses comments of more than 65,536
DENIED = (401, 403, 404)
PAUSES = (0, 2, 5)  # seconds before each try
PAGE = 100  # comments per answer


@dataclass(frozen=True)
class Discussion:
    """The comments of one request on a server.

    Attributes:
        address: of the list of comments.
        edited: the address of one comment, before its id.
        method: how a comment is updated.
        headers: with the token.
        log: the page of this run.
        commit: what was tested.
        advice: what to set if the token may not comment.
    """

    address: str
    edited: str
    method: str
    headers: dict[str, str]
    log: str
    commit: str
    advice: str


def main(file: Path, outcome: str) -> int:
    """Create or update the comment; the exit status, 0 too if the token may not comment."""
    discussion = on_github() if "GITHUB_ACTIONS" in os.environ else on_gitlab()
    text = body(file, outcome, discussion)
    for pause in PAUSES:
        time.sleep(pause)
        try:
            print(publish(discussion, text))
            return 0
        except urllib.error.HTTPError as error:
            if error.code in DENIED:
                print(f"{text}\n\nwarning: not commented ({error.code} {error.reason}): {discussion.advice}")
                return 0
            problem = f"{error.code} {error.reason}"
        except OSError as error:
            problem = str(error)
    print(f"{text}\n\nerror: cannot comment at {discussion.address}: {problem}; run the job again")
    return 1


def on_github() -> Discussion:
    """The pull request of this run; GITHUB_REF is refs/pull/NUMBER/merge."""
    own = os.environ
    number = re.fullmatch(r"refs/pull/(\d+)/merge", own["GITHUB_REF"])
    if number is None:
        raise SystemExit(
            f"error: GITHUB_REF is {own['GITHUB_REF']}, not a pull request: comment only on those"
        )
    repository = f"{own['GITHUB_API_URL']}/repos/{own['GITHUB_REPOSITORY']}"
    return Discussion(
        address=f"{repository}/issues/{number[1]}/comments",
        edited=f"{repository}/issues/comments",
        method="PATCH",
        headers={"Authorization": f"Bearer {own['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"},
        log=f"{own['GITHUB_SERVER_URL']}/{own['GITHUB_REPOSITORY']}/actions/runs/{own['GITHUB_RUN_ID']}",
        commit=own.get("COMMIT") or own["GITHUB_SHA"],
        advice="the workflow needs `permissions: pull-requests: write`, which forks never get",
    )


def on_gitlab() -> Discussion:
    """The merge request of this pipeline."""
    own = os.environ
    project = f"{own['CI_API_V4_URL']}/projects/{own['CI_MERGE_REQUEST_PROJECT_ID']}"
    address = f"{project}/merge_requests/{own['CI_MERGE_REQUEST_IID']}/notes"
    return Discussion(
        address=address,
        edited=address,
        method="PUT",
        headers={"PRIVATE-TOKEN": own.get("GITLAB_TOKEN", "")},
        log=own["CI_JOB_URL"],
        commit=own["CI_COMMIT_SHA"],
        advice="set the CI variable GITLAB_TOKEN, masked and not protected, to a project access token with "
        "the role Reporter and the scope api; pipelines of forks do not get it",
    )


def body(file: Path, outcome: str, discussion: Discussion) -> str:
    """The text of the comment, at most LIMIT characters long."""
    link = f"[log]({discussion.log})"
    if not file.exists():
        text = f"There are no results, because the job failed before: {link}."
    elif outcome == "success":
        text = f"{file.read_text(encoding='utf-8')}\nThe job succeeded: {link}."
    else:
        text = f"{file.read_text(encoding='utf-8')}\nThe job failed: {link}."
    if len(text) > LIMIT:
        text = f"{text[:LIMIT]}\n\nThe rest is in the {link}."
    return f"{MARK}\n### Results of {discussion.commit[:7]}\n\n{text}"


def publish(discussion: Discussion, text: str) -> str:
    """Update the comment if there is one, else create it; a sentence on what was done."""
    for comment in comments(discussion):
        if str(comment["body"]).startswith(MARK):
            ask(discussion, discussion.method, f"{discussion.edited}/{comment['id']}", text)
            return f"updated comment {comment['id']}"
    return f"created comment {ask(discussion, 'POST', discussion.address, text)['id']}"


def comments(discussion: Discussion) -> Iterator[dict[str, Any]]:
    number = 1
    while found := ask(discussion, "GET", f"{discussion.address}?per_page={PAGE}&page={number}"):
        yield from found
        number += 1


def ask(discussion: Discussion, method: str, address: str, text: str | None = None) -> Any:
    """The server's answer, from JSON."""
    content = None if text is None else json.dumps({"body": text}).encode()
    headers = {**discussion.headers, "Content-Type": "application/json", "User-Agent": "headstart"}
    request = urllib.request.Request(address, content, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2]))
