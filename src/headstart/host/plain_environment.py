"""The environment of a process that runs a stored model's code: no credential is in it."""

from collections.abc import Mapping

from headstart.host.project import QUIET

NAMES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "TEMP", "TMP"),
        *("VIRTUAL_ENV", "XDG_CACHE_HOME", "HEADSTART_CACHE", *QUIET),
    }
)
PREFIXES = (
    *("LC_", "LD_", "DYLD_", "PYTHON", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ONEDNN_", "DNNL_"),
    *("ATEN_", "TORCH_", "PYTORCH_", "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_", "HIP_", "ROCR_"),
)


def without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a computation needs: places, language, and settings of numerical libraries.

    Everything else is left out, since nobody can list all names under which a password may stand.
    """
    return {name: value for name, value in environment.items() if name in NAMES or name.startswith(PREFIXES)}
