"""Memory of a layer's maps stays with the process: each layer would else fault in all of its pages anew."""

import subprocess
import sys

import pytest

MAPS = 2 * 64 * 224 * 224  # of the first layers, for two images; 25 MB in fp32
PROGRAM = f"""
import resource, threading, torch
from headstart.ground import runtime
if {{keep}}:
    runtime.keep_memory()

def layers():
    for _ in range(20):
        first, second, third = torch.ones({MAPS}), torch.ones({MAPS}), torch.ones({MAPS} // 2)
        del first, second, third

def faults():
    layers()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    layers()
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

found = []
if {{in_thread}}:
    thread = threading.Thread(target=faults)
    thread.start()
    thread.join()
else:
    faults()
print(*found)
"""


@pytest.mark.parametrize(
    ("keep", "in_thread", "least", "most"),
    [(True, False, 0, 1000), (True, True, 0, 1000), (False, False, 10_000, 10**9)],
)
def test_maps_are_not_faulted_in_again(keep: bool, in_thread: bool, least: int, most: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep, in_thread=in_thread)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert least <= int(done.stdout) <= most
