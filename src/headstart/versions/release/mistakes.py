"""The most confident mistakes on the test images in the tree, as Markdown with small pictures."""

from base64 import b64encode

from headstart.ground import paths
from headstart.ground.markdown import cell
from headstart.ground.reading import load_table
from headstart.ground.wording import confidence
from headstart.pipeline.pages.html import thumbnail_jpeg
from headstart.pipeline.pixels.packed import NEEDED, PackedImages

SHOWN = 6
SIDE = 96  # pixels; a JPEG of this size has a few KB
MOST_BYTES = 8 << 10  # of one picture; a larger one is left out, so that the page stays below 100 KB
LONGEST_NAME, LONGEST_PATH = 40, 80


def as_markdown(with_pictures: bool = True) -> list[str]:
    """Lines of Markdown: one table row per mistake, each kind once before any kind is repeated.

    Pictures are data URIs, since Prefect's pages have no place for files.

    Raises:
        HeadstartError: a file of the results is damaged or missing, or a picture can be had nowhere.
    """
    columns = ["path", "label", "predicted", "confidence"]
    predictions = load_table(paths.PREDICTIONS, columns)
    wrong = predictions[predictions["label"] != predictions["predicted"]].sort_values(
        ["confidence", "path"], ascending=[False, True]
    )
    if wrong.empty:
        return [f"All {len(predictions)} test images are right."]
    turn = wrong.groupby(["label", "predicted"], sort=False).cumcount()
    shown = wrong.loc[turn.sort_values(kind="stable").index[:SHOWN]]
    table = load_table(paths.IMAGE_TABLE, ["split", *NEEDED])
    packed = PackedImages(table)
    places = {path: row for row, path in table.loc[table["split"] == "test", "path"].items()}
    part = "; the most confident, kinds in turn" if len(shown) < len(wrong) else ""
    count = f"{len(wrong)} of {len(predictions)} test images {'is' if len(wrong) == 1 else 'are'} wrong{part}"
    lines = [f"{count}:", "", "| picture | mistake |", "|---|---|"]
    for _, mistake in shown.iterrows():
        label, predicted = (cell(mistake[key], LONGEST_NAME) for key in ("label", "predicted"))
        words = f"**{label}** taken for **{predicted}**, {confidence(mistake['confidence'])}"
        words += f"<br>{cell(mistake['path'], LONGEST_PATH)}"
        picture = _picture(packed, int(places[mistake["path"]])) if with_pictures else "not sent"
        lines.append(f"| {picture} | {words} |")
    return lines


def _picture(packed: PackedImages, row: int) -> str:
    [pixels] = packed.rows(row, row + 1)
    jpeg = thumbnail_jpeg(pixels, SIDE)
    if len(jpeg) > MOST_BYTES:
        return f"not shown: {len(jpeg) >> 10} KB"
    return f"![](data:image/jpeg;base64,{b64encode(jpeg).decode()})"
