"""Commands start quickly: no command or stage imports what it does not use."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "great_expectations", "mlflow", "prefect", "matplotlib", "pandas"}
USED = {
    "cli.main": set(),
    "repository": set(),
    "cli.network_params": set(),
    "versions.registry.versions": {"mlflow"},
    "pipeline.network.stage": {"torch"},
    "pipeline.data.stage": {"great_expectations", "pandas"},
    "pipeline.pixels.stage": {"torch", "torchvision", "pandas"},
    "pipeline.features.stage": {"torch", "torchvision", "pandas"},
    "pipeline.training.stage": {"torch", "pandas"},
    "pipeline.evaluation.stage": {"torch", "pandas"},
}


@pytest.mark.parametrize("module", USED)
def test_a_module_imports_only_what_it_uses(module: str) -> None:
    script = f"import sys, headstart.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    allowed = USED[module]
    if "mlflow" in allowed:  # it imports pandas and, if they are installed, others
        allowed = HEAVY - {"torch", "torchvision", "great_expectations", "prefect"}
    if "great_expectations" in allowed:  # it imports matplotlib
        allowed = allowed | {"matplotlib"}
    assert set(done.stdout.split()) & HEAVY <= allowed


def test_a_deterministic_run_does_not_import_the_compiler() -> None:
    script = (
        "import sys, torch; from headstart.ground import runtime; runtime.make_deterministic(0);"
        "print(torch.are_deterministic_algorithms_enabled(), 'torch._inductor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
