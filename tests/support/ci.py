"""Run a project's workflows as GitHub and GitLab would: shell steps in order, and a server of comments."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

BASH = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c")  # `shell: bash` on GitHub
SH = ("sh", "-e", "-c")
WORDS = {"&&": "and", "||": "or", "!": "not "}


@dataclass
class Comments:
    """The comments of a server, and the calls it got: (method, path, headers, JSON)."""

    address: str = ""
    held: dict[int, str] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    answers: list[int] = field(
        default_factory=list
    )  # statuses of the next answers, instead of the right ones

    def of(self, *methods: str) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _, _ in self.calls if method in methods]


@contextmanager
def comment_server() -> Iterator[Comments]:
    """A server on loopback that plays the comments of GitHub (PATCH) and the notes of GitLab (PUT)."""
    comments = Comments()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(comments))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        comments.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield comments
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(comments: Comments) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = json.loads(text) if text else None
            comments.calls.append((self.command, self.path, dict(self.headers), sent))
            status = comments.answers.pop(0) if comments.answers else 200
            content = json.dumps(self.result(sent) if status == 200 else {"message": "no"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def result(self, sent: Any) -> Any:
            held = comments.held
            if self.command == "GET":
                size, page = (int(number) for number in re.findall(r"page=(\d+)", self.path))
                rows = [{"id": number, "body": text} for number, text in held.items()]
                return rows[size * (page - 1) : size * page]
            number = len(held) + 1 if self.command == "POST" else int(self.path.rpartition("/")[2])
            held[number] = sent["body"]
            return {"id": number}

        do_GET = do_POST = do_PATCH = do_PUT = answer

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler


@dataclass
class Job:
    """A job that has run: its status as the service calls it, all output, and the steps that ran."""

    status: str
    output: str
    steps: list[str]


def run_github(workflow: Path, root: Path, event: Mapping[str, Any], environment: Mapping[str, str]) -> Job:
    """Run the `run:` steps of the only job of a workflow in a clone, as a runner with bash would.

    Args:
        event: values of the contexts, such as {"github.event_name": "push"}; those left out are empty.
        environment: what the runner sets for every step.
    """
    document = YAML(typ="safe").load(workflow)
    (job,) = document["jobs"].values()
    files = {
        name: root.parent / f"{root.name}-{name.lower()}" for name in ("GITHUB_PATH", "GITHUB_STEP_SUMMARY")
    }
    done = Job("success", "", [])
    for step in job["steps"]:
        contexts = {**event, "job.status": done.status}
        if "run" not in step or not is_true(step.get("if", "success()"), contexts):
            continue
        own = {name: filled(str(value), contexts) for name, value in (step.get("env") or {}).items()}
        paths = files["GITHUB_PATH"].read_text().split() if files["GITHUB_PATH"].exists() else []
        settings = {
            **os.environ,
            **document["env"],
            **environment,
            **own,
            **{name: str(path) for name, path in files.items()},
            "PATH": os.pathsep.join([*reversed(paths), os.environ["PATH"]]),
        }
        shell = BASH if document["defaults"]["run"]["shell"] == "bash" else SH
        ended, output = _run([*shell, filled(step["run"], contexts)], root, settings)
        done.steps.append(step["name"])
        done.output += output
        if ended:
            done.status = "failure"
    return done


def run_gitlab(
    pipeline: Path, root: Path, environment: Mapping[str, str], shell: tuple[str, ...] = SH
) -> Job:
    """Run the only job of a pipeline in a clone: the script, then what follows it whatever happened."""
    job = YAML(typ="safe").load(pipeline)["headstart"]
    settings = {**os.environ, **environment, "CI_PROJECT_DIR": str(root)}
    for name, value in job["variables"].items():
        settings[name] = value.replace("$CI_PROJECT_DIR", str(root))
    ended, output = _run([*shell, "\n".join([*job["before_script"], *job["script"]])], root, settings)
    settings["CI_JOB_STATUS"] = "failed" if ended else "success"
    _, more = _run([*shell, "\n".join(job["after_script"])], root, settings)
    return Job(settings["CI_JOB_STATUS"], output + more, [])


def _run(command: list[str], root: Path, settings: Mapping[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=root, env=settings, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout


def filled(text: str, contexts: Mapping[str, Any]) -> str:
    """A text with the values of its `${{ expressions }}`."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(value_of(found[1], contexts)), text, flags=re.DOTALL)


def is_true(condition: str, contexts: Mapping[str, Any]) -> bool:
    """Whether a step with this `if:` runs; without a status function it runs only after success."""
    plain = re.sub(r"^\s*\$\{\{(.*)\}\}\s*$", r"\1", condition, flags=re.DOTALL)
    if not re.search(r"\b(success|failure|always|cancelled)\(\)", plain):
        plain = f"success() && ({plain})"
    return bool(value_of(plain, contexts))


def value_of(expression: str, contexts: Mapping[str, Any]) -> Any:
    """The value of a GitHub expression of names, texts, comparisons and status functions."""
    status = contexts["job.status"]
    functions = {
        "success()": status == "success",
        "failure()": status == "failure",
        "always()": True,
        "cancelled()": False,
    }

    def python(found: "re.Match[str]") -> str:
        word = found[0]
        if word in WORDS:
            return WORDS[word]
        return repr(functions[word] if word.endswith("()") else contexts.get(word, ""))

    translated = re.sub(
        r"(?P<text>'[^']*')|&&|\|\||!(?!=)|[a-z_]+\(\)|[a-z]\w*(?:\.\w+)+",
        lambda found: found[0] if found["text"] else python(found),
        expression,
    )
    return eval(f"({translated.strip()})")
