"""A packaged version, built and run for real: an image that answers without a network, and not as root."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from images import Images, lacking
from projects import result_of
from templates import make_registered

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacking()), reason=f"images cannot be built here: {lacking()}"),
]

TOKEN = "a-token-of-the-tests"
ASK = f"""
import json, sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:5001/predict", sys.stdin.buffer.read())
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {TOKEN}")
print(urllib.request.urlopen(request, timeout=100).read().decode())
"""
READY_SECONDS, STOP_SECONDS = 180, 20


@pytest.fixture(scope="module")
def project(common: Path) -> Path:
    make_registered(common / "project")
    return common / "project"


@pytest.fixture(scope="module")
def images(common: Path) -> Iterator[Images]:
    (common / "images").mkdir()
    made = Images(common / "images")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def image(project: Path, images: Images, common: Path) -> str:
    result_of(project, "package", "headstart@champion", "../image")
    return images.build(common / "image", images.make_base())


@pytest.fixture(scope="module")
def container(images: Images, image: str) -> Iterator[str]:
    """The name of a container that is ready."""
    with images.running(image, "served", [f"HEADSTART_SERVE_TOKENS={TOKEN}"]):
        until = time.monotonic() + READY_SECONDS
        while images.call("exec", "served", *images.health_command(image), check=False).returncode:
            assert time.monotonic() < until, images.call("logs", "served", check=False)
            time.sleep(1)
        yield "served"


def test_it_answers_what_evaluate_wrote(project: Path, images: Images, container: str) -> None:
    expected = pd.read_parquet(project / "artifacts/predictions.parquet")
    files = [(project / "data" / path).read_bytes() for path in expected["path"]]
    body = json.dumps({"images": [{"base64": base64.b64encode(file).decode()} for file in files]})
    said = json.loads(images.call("exec", "-i", container, "python", "-c", ASK, stdin=body).stdout)
    assert said["model_version"] == "models:/headstart/1"
    assert [each["label"] for each in said["answers"]] == expected["predicted"].tolist()
    for name in ("dark", "light"):
        found = pd.Series([each["probabilities"][name] for each in said["answers"]])
        assert (found - expected[f"probability:{name}"]).abs().max() < 1e-5


def test_it_has_no_network_no_rights_and_nothing_to_write(images: Images, container: str) -> None:
    def inside(*command: str) -> str:
        return images.call("exec", container, *command, check=False).stdout.strip()

    assert inside("id", "-u") == "65532"
    assert (
        inside("python", "-c", "import socket; print([name for _, name in socket.if_nameindex()])")
        == "['lo']"
    )
    assert inside("sh", "-c", "touch /opt/headstart/x 2>/dev/null || echo refused") == "refused"
    assert inside("sh", "-c", "grep CapEff /proc/self/status") == "CapEff:\t0000000000000000"


def test_without_tokens_it_ends_and_says_what_to_set(images: Images, image: str) -> None:
    done = images.call("run", "--rm", *images.options(), image, check=False)
    assert done.returncode == 1
    assert "set HEADSTART_SERVE_TOKENS" in done.stderr


def test_a_signal_ends_it_in_time(images: Images, container: str) -> None:
    began = time.monotonic()
    images.call("stop", "--time", str(2 * STOP_SECONDS), container)
    assert time.monotonic() - began < STOP_SECONDS
    [found] = json.loads(images.call("inspect", container).stdout)
    assert found["State"]["ExitCode"] == 143  # by SIGTERM, not killed
