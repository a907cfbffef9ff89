"""The command line as a whole: groups, suggestions, completion, closed pipes and bad ports."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import ROOT

from headstart.cli import completion, stages
from headstart.cli.commands import GROUPS
from headstart.cli.main import main, make_parser

COMMANDS = make_parser().commands()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headstart", *arguments]


def test_help_lists_every_command_in_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"{group}:" in shown for group in GROUPS)
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    usage, _, rest = capsys.readouterr().out.partition("\n\n")
    assert usage.startswith(f"usage: headstart {name}")
    assert len(rest.split("\n\n")[0].split()) > 3


@pytest.mark.parametrize(("typed", "meant"), [("tarin", "train"), ("gaet", "gate"), ("evalute", "evaluate")])
def test_a_mistyped_command_gets_a_suggestion(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([typed])
    assert ended.value.code == 2
    assert f"there is no command '{typed}'; did you mean {meant}?" in capsys.readouterr().err


def test_another_word_gets_the_way_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["xyzzy"])
    assert "`headstart --help` lists the commands" in capsys.readouterr().err


COMPLETE = """
words=(headstart {typed} "")
COMP_WORDS=("${{words[@]}}") COMP_CWORD=$((${{#words[@]}} - 1))
COMP_WORDS[COMP_CWORD]={begun}
_shtab_headstart && printf "%s\n" "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def completed() -> Callable[[str, str], set[str]]:
    """Ask bash to complete the last word of a line, and return what it offers."""
    script = completion.script(make_parser(), "bash")

    def offered(typed: str, begun: str) -> set[str]:
        line = script + COMPLETE.format(typed=typed, begun=begun)
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    return offered


@pytest.mark.parametrize("name", COMMANDS)
def test_bash_completes_the_options_of_a_command(
    name: str, completed: Callable[[str, str], set[str]]
) -> None:
    [parsers] = [action.choices for action in make_parser()._actions if action.dest == "command"]
    assert isinstance(parsers, dict)
    options = {option for option in parsers[name]._option_string_actions if option.startswith("--")}
    assert completed(name, "--") == options


def test_bash_completes_commands_choices_and_files(completed: Callable[[str, str], set[str]]) -> None:
    assert completed("", '""') == set(COMMANDS)
    assert completed("", "roll") == {"rollback"}
    assert completed("services", "st") == {"start", "stop", "status"}
    assert completed("services start --gpu", '""') == {"auto", "cpu", "none"}
    assert completed("score", "docs/js") == completed("lineage x --html", "docs/js") == {"docs/json.md"}


def test_zsh_and_tcsh_are_offered_every_command_and_option() -> None:
    for shell, option in (("zsh", "--tolerance"), ("tcsh", "tolerance")):
        script = completion.script(make_parser(), shell)
        assert [name for name in [*COMMANDS, option] if name not in script] == []


def test_stages_are_commands_in_their_order() -> None:
    names = [stage.name for stage in stages.STAGES]
    assert [name for name in COMMANDS if name in names] == names


def test_a_reader_that_has_enough_is_no_error(tree: Path) -> None:
    """`headstart describe | head -1`: the command writes far more to a closed pipe than a pipe holds."""
    script = f"{sys.executable} -m headstart describe | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tree, capture_output=True, text=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""

    reading, writing = os.pipe()
    os.close(reading)
    closed = subprocess.run(command("describe"), cwd=tree, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (closed.returncode, closed.stderr) == (1, "")


@pytest.mark.parametrize(("script", "setting"), [("serve-ui", "PORT"), ("serve-model", "SERVE_PORT")])
def test_a_port_that_is_taken_is_named_before_anything_starts(script: str, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            ["sh", str(ROOT / "mlflow" / script), "models:/headstart@champion"],
            env={**os.environ, setting: port, "HEADSTART_PYTHON": sys.executable},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in done.stderr
    assert f"set {setting} (environment, or mlflow/server.env) to another port" in done.stderr
    assert done.stdout == ""


def test_serving_without_a_version_is_one_line(tree: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    done = subprocess.run(
        ["sh", "mlflow/serve-model", "headstart@champion"],
        cwd=tree,
        env={**os.environ, "SERVE_PORT": port, "HEADSTART_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: there is no models:/headstart@champion; nothing is registered yet: run `headstart register`\n"
    )


@pytest.mark.parametrize("target", ["ui", "serve", "services", "services-stop"])
def test_what_only_starts_installs_nothing(target: str, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    done = subprocess.run(["make", target], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "there is no .venv/bin: run `make install` first" in done.stderr
    assert not (tmp_path / ".tools").exists()
