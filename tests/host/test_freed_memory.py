"""Freed memory does not stay with the process."""

import ctypes
import threading
from pathlib import Path

import pytest
from processes import wait_for

from headstart.host.freed_memory import given_back

PIECE, PIECES = 4000, 20_000  # 80 MB, in pieces that glibc keeps once they are freed


def resident_mb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc keeps freed memory")
def test_freed_memory_is_given_back_while_the_block_runs() -> None:
    pieces = [bytearray(PIECE) for _ in range(PIECES)]
    last = bytearray(PIECE)  # above the others, so that the heap cannot shrink
    del pieces
    before, threads = resident_mb(), threading.active_count()
    with given_back(0.01):
        wait_for(lambda: resident_mb() < before - 60, 10)
    assert threading.active_count() == threads
    assert len(last) == PIECE
