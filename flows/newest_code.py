"""A worker's clone is brought to the newest commit; a flow that began with older code goes on with that."""

import importlib
import sys
from types import ModuleType

OURS = ("headstart", "flows")


def newest(name: str) -> ModuleType:
    """A module of ours as it is in the tree now, after the tree was brought to another commit.

    What was imported before is of the commit that the tree had then: it must not meet files of another one.

    Args:
        name: such as `flows.training`.
    """
    for loaded in [each for each in sys.modules if each.partition(".")[0] in OURS]:
        del sys.modules[loaded]
    importlib.invalidate_caches()
    return importlib.import_module(name)
