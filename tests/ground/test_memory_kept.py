"""Memory of a layer's maps stays with the process: each layer would else fault in all of its pages anew."""

import subprocess
import sys

import pytest

MAPS = 2 * 64 * 224 * 224  # of the first layers, for two images; 25 MB in fp32
# Whether the first maps are given back to the system once they are freed. Those that follow are not a test:
# glibc learns from the first, and gives back some of them or none.
PROGRAM = f"""
import sys, threading, torch
from headstart.ground import runtime

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def maps():
    held = torch.ones({MAPS})
    most = resident()
    del held
    print(round((most - resident()) / {4 * MAPS}))

keep, in_thread = map(int, sys.argv[1:])
if keep:
    runtime.keep_memory()
if in_thread:
    thread = threading.Thread(target=maps)
    thread.start()
    thread.join()
else:
    maps()
"""


def maps_given_back(keep: bool, in_thread: bool) -> int:
    command = [sys.executable, "-c", PROGRAM, str(int(keep)), str(int(in_thread))]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_freed_maps_stay_with_the_process(
    keep: bool, in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert maps_given_back(keep, in_thread) == (0 if keep else 1)


def test_a_setting_of_the_user_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert maps_given_back(keep=True, in_thread=False) == 1
