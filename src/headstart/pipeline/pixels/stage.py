"""Stage preprocess: resize and crop every image as the weights require, and list the packed images."""

from headstart.ground import paths, runtime
from headstart.ground.files import replacing, write_json
from headstart.pipeline.data import manifest
from headstart.pipeline.network.settings import Backbone
from headstart.pipeline.pixels import packing, transforms
from headstart.pipeline.pixels.packed import Packing, open_pixels
from headstart.pipeline.pixels.settings import Preprocess
from headstart.pipeline.store.rows import recipe_digest
from headstart.pipeline.store.store import open_rows
from headstart.progress import bar

KEPT = ["path", "sha256", "pixels", "label", "split", "group"]


def run(backbone: Backbone, preprocess: Preprocess) -> str:
    """Write `artifacts/images.parquet`, which names the pixels of each packed image by their digest.

    The pixels themselves go into the store.
    """
    transform = transforms.transform_of(backbone.arch, preprocess.weights)
    rows = manifest.read_manifest(paths.MANIFEST)[KEPT]
    recipe = recipe_digest(packing.packing_recipe(transform), packing.__name__)
    side = transform.crop_size[0]
    with (
        open_rows() as store,
        open_pixels() as held,
        bar(len(rows), "preprocess") as progress,
    ):
        digests, computed = packing.pack_images(
            paths.DATA, rows, transform, store, held, recipe, progress.update
        )
    table = rows.assign(packed=digests)
    table.attrs = rows.attrs | Packing(backbone.arch, preprocess.weights, side).recorded()
    with replacing(paths.IMAGE_TABLE) as new:
        table.to_parquet(new, index=False)
    environment = runtime.environment("uint8", paths.LOCK)
    write_json(paths.ENVIRONMENTS / "preprocess.json", environment.to_dict())
    return f"{len(rows)} images packed, {computed} decoded now"
