"""Section "Model": the network and the settings it was trained with."""

from typing import Any

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.evaluation.report import Section
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections.training import settings
from headstart.pipeline.network.network import INPUT
from headstart.pipeline.pages.html import fragment


def section(results: Results) -> Section:
    """Make the section from the head's metadata and the trial that was kept."""
    shown = [*facts(results.head), *settings(load_table(paths.TRIALS))]
    return Section(
        "Model", fragment("headstart.pipeline.evaluation.sections", "model.html.j2", {}, facts=shown)
    )


def facts(head: dict[str, Any]) -> list[tuple[str, str]]:
    """The network, its files' digests, and the settings that its head's metadata holds."""
    backbone, views = head["backbone"], head["views"]
    return [
        ("Network", _network(head)),
        ("Backbone weights", backbone["source"]),
        ("Backbone digest", backbone["digest"]),
        ("Head digest", head["digest"]),
        ("Best epoch", str(head["epoch"])),
        ("Precision of the frozen part", head["precision"]),
        ("Transform", f"{head['arch']} {head['transform']} of torchvision"),
        *(_hidden(head) if head["head"] == "mlp" else []),
        ("features.views", str(views["count"] if views else 1)),
        *([("train.init", head["init"])] if head["init"] else []),
    ]


def _hidden(head: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("model.hidden", ", ".join(map(str, head["hidden"]))),
        ("model.dropout", f"{head['dropout']:g}"),
    ]


def random_banner() -> str:
    """The warning on every page if the convolutions were never trained."""
    return (
        "Backbone weights: random. The convolutions were never trained on anything; set "
        "backbone.weights: IMAGENET1K_V1 in params.yaml for the pretrained network."
    )


def _network(head: dict[str, Any]) -> str:
    parts = [f"{head['arch']}, head “{head['head']}”"]
    if head["replace"]:
        parts.append(f"replaced {', '.join(head['replace'])}")
    if head["train"]:
        parts.append(f"also trained: {', '.join(head['train'])}")
    parts.append("nothing frozen before the cut" if head["cut"] == INPUT else f"cut after {head['cut']}")
    return ", ".join(parts)
