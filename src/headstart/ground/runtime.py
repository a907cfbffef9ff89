"""Seeds, device, precision and determinism, and their record; the only file that names CUDA."""

import ctypes
import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from headstart.errors import ParamsError
from headstart.ground.paths import CODE_LOCK
from headstart.ground.settings import Precision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
CPU_IMAGES = 2
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of glibc's mallopt(3)
RECORDED = ("torch", "torchvision", "numpy", "pillow", "safetensors")


def device() -> torch.device:
    """The first accelerator of this machine, or the CPU if it has none."""
    return devices()[0]


def devices() -> list[torch.device]:
    """All accelerators of this machine, or the CPU if it has none."""
    if torch.cuda.is_available():
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [torch.device("cpu")]


def accelerators() -> list[str]:
    """Names of the accelerators that this process sees, unique on the host."""
    if not torch.cuda.is_available():
        return []
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]


def images_at_once(batch_size: int) -> int:
    """How many images go through the convolutions together.

    A few on a CPU, so that their maps stay in its caches (`bench/backbone.py` measures it); the whole
    batch on an accelerator.
    """
    return batch_size if torch.cuda.is_available() else min(batch_size, CPU_IMAGES)


def passes_at_once() -> int:
    """How many forward passes of a server make most of the device.

    On a CPU one uses the cores while another waits for its own threads (`bench/serving_load.py`).
    """
    return 1 if torch.cuda.is_available() else 2


def to_device(host: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Start a copy from the CPU, through pinned memory if it goes to an accelerator."""
    if device.type == "cpu":
        return host
    return host.pin_memory().to(device, non_blocking=True)


def to_host(tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Start a copy to the CPU; the returned function waits for it and returns it."""
    if tensor.device.type == "cpu":
        return lambda: tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(tensor.device))

    def wait() -> torch.Tensor:
        copied.synchronize()
        return host

    return wait


def fits_device(size: int) -> bool:
    """Whether `size` bytes fit into half of the accelerator's free memory, to stay there during training."""
    if not torch.cuda.is_available():
        return False
    free, _ = torch.cuda.mem_get_info(device())
    return size <= free // 2


def dtype_of(precision: Precision, key: str = "precision") -> torch.dtype:
    """The dtype of a named precision.

    Args:
        key: the key of params.yaml to name in the error.

    Raises:
        ParamsError: this machine's hardware does not support it; no other precision is substituted.
    """
    if precision == "bf16" and not _has_bf16():
        raise ParamsError(
            f"{key}: bf16 needs bfloat16 arithmetic in hardware, which {device_name()} lacks; set "
            f"`precision: fp32` there in params.yaml"
        )
    return DTYPES[precision]


def make_deterministic(seed: int) -> None:
    """Seed torch, ask for algorithms that give the same bytes in every run, and keep freed memory."""
    keep_memory()
    choose_deterministic()
    torch.manual_seed(seed)


def choose_deterministic() -> None:
    """Ask torch, in the whole process, for algorithms that give the same bytes in every run."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms imports the compiler: 1 s
    # by default torch also fills new memory before it is written, which only helps in debugging
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def keep_memory() -> None:
    """Keep the memory of a layer's maps (25 MB) for the next layer, in the whole process.

    glibc gives it back to the system and takes it again in each layer, which then costs 6,000 page faults an
    image, 5 % of the CPU time of VGG16. Larger tensors, such as weights, are still given back at once.
    Threads that begin later share one heap, since one of their own holds no more than two maps.
    """
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return  # somebody has chosen otherwise
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    if libc.mallopt(M_MMAP_THRESHOLD, 32 << 20):  # old versions refuse more
        libc.mallopt(M_TRIM_THRESHOLD, 512 << 20)
        libc.mallopt(M_ARENA_MAX, 1)


def autocast(precision: Precision) -> torch.autocast:
    """A mixed-precision context: matrix products in bf16, weights in fp32; `fp32` changes nothing."""
    return torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16")


def random_state() -> dict[str, torch.Tensor]:
    """The state of torch's random streams, which dropout draws from."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, torch.Tensor]) -> None:
    """Restore the streams to a state returned by `random_state`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def generator(seed: int) -> np.random.Generator:
    """The source of every random choice outside torch's own layers."""
    return np.random.Generator(np.random.PCG64(seed))


def device_name() -> str:
    """The model of the accelerator or processor, under its maker's name."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Environment:
    """Everything besides code, data and parameters that may affect a result. No host name, no path.

    Attributes:
        lock: SHA-256 of requirements.lock; None in a project without the code itself, whose stages depend on
            headstart.lock.yaml in its place.
    """

    device: str
    cpu_capability: str
    python: str
    versions: dict[str, str]
    precision: str
    lock: str | None

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def environment(precision: str, lock: Path) -> Environment:
    """The environment of this process; `lock` is the file of pinned requirements."""
    return Environment(
        device=device_name(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        python=platform.python_version(),
        versions={name: version(name) for name in RECORDED},
        precision=precision,
        lock=None if CODE_LOCK.exists() else hashlib.sha256(lock.read_bytes()).hexdigest(),
    )


def _has_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags.split()
