"""Drawings as PNG: the same bytes for the same numbers, whatever matplotlibrc contains."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# M. Okabe, K. Ito, Color universal design, 2008: distinguishable with every kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY, BLACK, GREY = "#D55E00", "#56B4E9", "#000000", "#8C8C8C"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)

DPI = 120
FONT = "DejaVu Sans"  # ships with matplotlib, so the machine's own fonts make no difference
STYLE: dict[str, object] = {
    "font.family": FONT,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # a class may be named $x$
}


def png_of(draw: "Callable[[Figure], None]", width: float, height: float) -> bytes:
    """PNG bytes of what `draw` puts on an empty white figure of about `width` x `height` inches."""
    # Imported only here, so that a stage without plots does not pay for matplotlib.
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        file = io.BytesIO()
        figure.savefig(
            file,
            format="png",
            bbox_inches="tight",
            # Without a software tag, a matplotlib update that draws the same gives the same bytes.
            metadata={"Software": None},
            pil_kwargs={"compress_level": 9},
        )
    return file.getvalue()


def names_shown(classes: Sequence[str], limit: int = 22) -> list[str]:
    """Class names in a form that a plot can show.

    Long ones lose their middle, or their end if that would make two of them equal; names with characters
    missing from the font become `class 3`, by index.
    """
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(FONT))
    drawable = [all(font.get_char_index(ord(sign)) for sign in name) for name in classes]
    return distinct(
        [name if drawable[index] and name else f"class {index}" for index, name in enumerate(classes)], limit
    )


def distinct(names: Sequence[str], limit: int) -> list[str]:
    """Cut names to `limit` characters; if different ones would look alike, they end with their place."""
    cut = [_shortened(name, limit) for name in names]
    alike: dict[str, set[str]] = {}
    for name, short in zip(names, cut, strict=True):
        alike.setdefault(short, set()).add(name)
    return [
        short if len(alike[short]) == 1 else _numbered(name, place, limit)
        for place, (name, short) in enumerate(zip(names, cut, strict=True))
    ]


def _shortened(name: str, limit: int) -> str:
    if len(name) <= limit:
        return name
    tail = limit // 3
    return f"{name[: limit - tail - 1]}…{name[-tail:]}"


def _numbered(name: str, place: int, limit: int) -> str:
    number = f" #{place}"
    return f"{name[: limit - len(number) - 1]}…{number}"
