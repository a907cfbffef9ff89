"""Memory of the model server over thousands of requests of many clients.

    PYTHONPATH=tests/support .venv/bin/python bench/serving_memory.py

A narrow network keeps this to minutes: it shows whether memory grows with the number of requests.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from machine import keep
from serving import post, registered, served, take

SAMPLES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32, help="that ask at once")
    parser.add_argument("--images", type=int, default=1, help="per request")
    parser.add_argument("--width", type=int, default=4, help="of the network: 64 is VGG16")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    step = chosen.requests // SAMPLES
    with (
        registered(64, chosen.width, "fp32") as version,
        served() as (process, address),
        ThreadPoolExecutor(chosen.clients) as clients,
    ):
        images = [path.read_bytes() for path in version.files]

        def ask(number: int) -> None:
            assert post(address, take(images, number, chosen.images)) == chosen.images

        resident = {0: resident_mb(process)}
        for done in range(0, step * SAMPLES, step):
            list(clients.map(ask, range(done, done + step)))
            resident[done + step] = resident_mb(process)
            print(done + step, resident[done + step], flush=True)
    keys = ("clients", "images", "width")
    result = {key: getattr(chosen, key) for key in keys}
    keep("serving_memory", {**result, "resident_mb": resident}, chosen.out)


def resident_mb(process: int) -> float:
    """Resident set of a process as it is now, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) * 1024 / 1e6, 1)


if __name__ == "__main__":
    main()
