"""The network in words and numbers: `headstart describe`. Needs no tensor library."""

from typing import Any

from headstart.pipeline.network.network import Network, NetworkSpec, PlannedLayer

COLUMNS = ("layer", "kind", "output", "parameters", "")


def describe(spec: NetworkSpec, network: Network, bytes_per_number: int) -> dict[str, Any]:
    """Every layer, the cut and the totals as plain values.

    FLOP count the multiplications and additions of convolutions and linear layers for one image;
    `feature_bytes` is the size of one image's row in the features file.
    """
    layers = [_layer(layer, index >= network.cut) for index, layer in enumerate(network.layers)]
    stored = bytes_per_number if network.cut else 0
    for size in network.feature_shape:
        stored *= size
    return {
        "arch": spec.arch,
        "width": spec.width,
        "head": spec.head,
        "classes": len(spec.classes),
        "layers": layers,
        "cut": {"after": network.cut_name, "shape": list(network.feature_shape)},
        "totals": {
            "parameters_trained": _total(layers, "parameters", trained=True),
            "parameters_frozen": _total(layers, "parameters", trained=False),
            "gflop_before_cut": sum(layer["flop"] for layer in layers if not layer["after_cut"]) / 1e9,
            "gflop_after_cut": sum(layer["flop"] for layer in layers if layer["after_cut"]) / 1e9,
            "feature_bytes": stored,
        },
    }


def as_text(description: dict[str, Any]) -> str:
    """One line per layer, a line where the cut falls, and the totals."""
    rows = [_row(layer) for layer in description["layers"]]
    widths = [max(len(row[i]) for row in [*rows, COLUMNS]) for i in range(len(COLUMNS))]
    lines = [
        f"{description['arch']}, head {description['head']}, {description['classes']} classes",
        "",
        _line(COLUMNS, widths),
    ]
    is_cut = False
    for layer, row in zip(description["layers"], rows, strict=True):
        if layer["after_cut"] and not is_cut:
            lines.append(_cut_line(description, sum(widths) + 8))
            is_cut = True
        lines.append(_line(row, widths))
    return "\n".join([*lines, "", *_totals(description)])


def _layer(layer: PlannedLayer, after_cut: bool) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": str(layer.kind),
        "output": list(layer.output),
        "parameters": layer.kind.parameters,
        "trained": layer.is_trained,
        "new": layer.is_new,
        "after_cut": after_cut,
        "flop": layer.kind.flops(layer.output),
    }


def _total(layers: list[dict[str, Any]], what: str, *, trained: bool) -> int:
    return sum(int(layer[what]) for layer in layers if layer["trained"] == trained)


def _row(layer: dict[str, Any]) -> tuple[str, ...]:
    state = ("trained" if layer["trained"] else "frozen") if layer["parameters"] else ""
    return (
        layer["name"],
        layer["kind"],
        "x".join(map(str, layer["output"])),
        f"{layer['parameters']:,}" if layer["parameters"] else "-",
        f"{state}{', new' if layer['new'] and state else 'new' if layer['new'] else ''}",
    )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    cells[3] = row[3].rjust(widths[3])
    return "  ".join(cells).rstrip()


def _cut_line(description: dict[str, Any], width: int) -> str:
    totals = description["totals"]
    if not totals["feature_bytes"]:
        return " cut: the images themselves, nothing is stored ".center(width, "-")
    shape = "x".join(map(str, description["cut"]["shape"]))
    return f" cut: {shape} numbers per image, computed once and stored ".center(width, "-")


def _totals(description: dict[str, Any]) -> list[str]:
    totals = description["totals"]
    return [
        f"Trained         {totals['parameters_trained']:,} parameters",
        f"Frozen          {totals['parameters_frozen']:,} parameters",
        f"Before the cut  {_short(totals['gflop_before_cut'])} GFLOP per image, once",
        f"After the cut   {_short(totals['gflop_after_cut'])} GFLOP per image, each epoch (forward)",
        f"Feature cache   {totals['feature_bytes']:,} bytes per image",
    ]


def _short(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.2g}"
