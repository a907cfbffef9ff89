"""Memory of a layer's maps stays with the process: each layer would else fault in all of its pages anew."""

import subprocess
import sys

import pytest

MAPS = 2 * 64 * 224 * 224  # of the first layers, for two images; 25 MB in fp32
PROGRAM = f"""
import threading, torch
from headstart.ground import runtime
if {{keep}}:
    runtime.keep_memory()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def layers():
    for _ in range(3):
        several = [torch.ones({MAPS}) for _ in range(4)]
        most = resident()
        del several
    print((most - resident()) // {4 * MAPS})

if {{in_thread}}:
    thread = threading.Thread(target=layers)
    thread.start()
    thread.join()
else:
    layers()
"""


@pytest.mark.parametrize(
    ("keep", "in_thread", "given_back"),
    [(True, False, {0}), (True, True, {0}), (False, False, {3, 4})],
)
def test_freed_maps_stay_with_the_process(
    keep: bool, in_thread: bool, given_back: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep, in_thread=in_thread)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) in given_back


def test_a_setting_of_the_user_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=True, in_thread=False)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) in {3, 4}
