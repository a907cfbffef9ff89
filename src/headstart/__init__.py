"""Headstart: fine-tune a new head on a frozen VGG16 and carry it to production.

`__init__.pyi` lists what can be used from Python; each name is imported when it is first used.
"""

import importlib
import os

__version__ = "0.2.0"
__all__ = ["HeadstartError", "Model", "Project", "Report", "__version__", "load"]

_PLACES = {
    "HeadstartError": "headstart.errors",
    "Model": "headstart.api.model",
    "Project": "headstart.api.project",
    "Report": "headstart.api.report",
    "load": "headstart.api.model",
}
# Threads of a network that spin at barriers slow each other beside any other busy process (bench/waiting.py).
# OpenMP reads this once, when torch or scikit-learn loads it; the bytes of results do not depend on it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
