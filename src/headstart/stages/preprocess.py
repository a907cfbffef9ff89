"""Stage preprocess: every image resized and cropped as the weights ask, packed in one array."""

from pathlib import Path

from headstart import paths, runtime
from headstart.cache import default_folder
from headstart.data import decoding, manifest, packing, pixels
from headstart.files import replacing, write_json
from headstart.progress import bar
from headstart.rows import recipe_digest
from headstart.store import Store

KEPT = ["path", "sha256", "pixels", "label", "split"]


def run(arch: str, weights: str) -> str:
    """Write `artifacts/images.npy` and `artifacts/images.parquet`, row for row.

    Args:
        weights: the torchvision weights of `arch` whose transform is used.
    """
    transform = pixels.transform_of(arch, weights)
    rows = manifest.read_manifest(paths.MANIFEST)[KEPT]
    sources = [Path(str(module.__file__)) for module in (packing, decoding, pixels)]
    recipe = recipe_digest(packing.packing_recipe(transform), sources)
    with (
        Store(default_folder()) as store,
        bar(len(rows), "preprocess") as progress,
        replacing(paths.IMAGES) as new,
        new.open("wb") as file,
    ):
        computed = packing.pack_images(paths.DATA, rows, transform, store, recipe, file, progress.update)
    with replacing(paths.IMAGE_TABLE) as new:
        rows.to_parquet(new, index=False)
    environment = runtime.environment("uint8", paths.LOCK)
    write_json(paths.ENVIRONMENTS / "preprocess.json", environment.to_dict())
    return f"{len(rows)} images packed, {computed} decoded now"
