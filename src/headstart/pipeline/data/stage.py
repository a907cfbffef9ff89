"""Stage validate: decode and check every file, decide which are left out, and assign the splits."""

import pandas as pd

from headstart.errors import DataError
from headstart.ground import paths
from headstart.ground.files import replacing, write_json, write_text
from headstart.ground.paths import cache_folder
from headstart.ground.settings import SPLITS
from headstart.ground.wording import named
from headstart.pipeline.data import alike, manifest, near_duplicates
from headstart.pipeline.data.alike import NearDuplicates
from headstart.pipeline.data.dataset import read_dataset
from headstart.pipeline.data.expectations import check_files, check_set, to_json
from headstart.pipeline.data.groups import groups_of, similar_groups
from headstart.pipeline.data.layout import Found
from headstart.pipeline.data.limits import Limits
from headstart.pipeline.data.settings import Data, Split, Validate
from headstart.pipeline.data.splits import Placed, assign_splits
from headstart.pipeline.data.thumbnails import Thumbnails
from headstart.pipeline.store import seen_files
from headstart.pipeline.store.rows import RowStore, recipe_digest
from headstart.pipeline.store.seen_files import SeenFiles
from headstart.pipeline.store.store import Store, open_rows
from headstart.progress import bar


def run(data: Data, validate: Validate, split: Split) -> str:
    """Write `artifacts/manifest.parquet`, `reports/validation.json` and `reports/near_duplicates.html`.

    Raises:
        DataError: the set failed a check, or a file did and `on_bad_file` is `stop`; the reports
            are written, the manifest is not.
    """
    dataset = read_dataset(paths.DATA, data)
    found = dataset.images
    with open_rows() as store:
        table, thumbnails = _facts(found, store)
        file_check = check_files(table, validate, unlabelled=_unlabelled(data))
        table["excluded"] = [file_check.failures.get(path, "") for path in table["path"]]
        pairs = _near_duplicates(table, thumbnails, store, validate, split)
    similar = similar_groups(table["pixels"], pairs or [])
    table["similar"] = similar
    table["group"] = similar if split.group == "similar" else groups_of(found, split.group)
    table["split"], placed = assign_splits(table, split.fractions, split.seed)
    near = NearDuplicates.among(table, similar)
    set_check = check_set(table, validate, near)
    problems = list(set_check.problems)
    if validate.on_bad_file == "stop":
        problems = [f"{path}: {why}" for path, why in sorted(file_check.failures.items())] + problems
    report = to_json(table, file_check, set_check, dataset.others, placed, near)
    write_json(paths.VALIDATION, {**report, "success": not problems, "problems": problems})
    pictures = None if pairs is None else table.loc[table["excluded"] == "", "pixels"].nunique()
    write_text(paths.NEAR_DUPLICATES, alike.as_html(paths.DATA, near, pictures))
    if problems:
        raise DataError(_blocked(problems, file_check.failures))
    table.attrs = {"limits": Limits.of(validate).as_dict()}
    with replacing(paths.MANIFEST) as new:
        table.to_parquet(new, index=False)
    return _summary(table, dataset.others, placed, near.counts)


def _facts(found: list[Found], store: RowStore) -> tuple[pd.DataFrame, Thumbnails]:
    recipe = recipe_digest(manifest.facts_recipe(), manifest.__name__)
    with (
        Store(cache_folder(), seen_files.FILE, seen_files.MOST) as files,
        bar(len(found), "validate", "file") as progress,
    ):
        seen = SeenFiles(files)
        return manifest.build_manifest(paths.DATA, found, store, recipe, seen, progress.update)


def _near_duplicates(
    table: pd.DataFrame, thumbnails: Thumbnails, store: RowStore, validate: Validate, split: Split
) -> list[tuple[str, str]] | None:
    """Pairs of digests; None if nobody asks for them."""
    if validate.near_duplicates == "ignore" and split.group != "similar":
        return None
    recipe = recipe_digest(alike.pairs_recipe(), near_duplicates.__name__)
    with bar(int((table["excluded"] == "").sum()), "near duplicates", "image") as progress:
        return alike.pairs_of(table, thumbnails, store, recipe, progress.update)


def _blocked(problems: list[str], failures: dict[str, str]) -> str:
    lines = [f"validation stopped; {paths.VALIDATION} has the details (`headstart docs` renders them):"]
    lines += [f"  - {problem}" for problem in problems[:10]]
    if len(problems) > 10:
        lines.append(f"  - and {len(problems) - 10} more")
    lines += [f"  left out: {path}: {why}" for path, why in sorted(failures.items())[:10]]
    return "\n".join(lines)


def _unlabelled(data: Data) -> str:
    """The reason why a file has no class."""
    if data.labels:
        return f"has no label in {paths.DATA / data.labels}"
    return f"is not in a class folder, expected data/{data.layout or 'CLASS'}/FILE"


def _summary(table: pd.DataFrame, others: list[str], placed: list[Placed], near: dict[str, int]) -> str:
    kept = table[table["excluded"] == ""]
    counts = kept.groupby("split", sort=False).size()
    splits = ", ".join(f"{counts.get(name, 0)} {name}" for name in SPLITS)
    lines = [f"{len(kept)} images in {kept['label'].nunique()} classes: {splits}"]
    if placed:
        images = sum(len(each.paths) for each in placed)
        moves = [f"{each.paths[0]} ({each.before} -> {each.after})" for each in placed]
        classes = len({each.label for each in placed})
        lines.append(
            f"placed {images} images of {classes} small classes, so that each split has one: {named(moves)}"
        )
    if near["groups"]:
        lines.append(
            f"near duplicates: {near['groups']} groups of {near['files']} files, {near['across_splits']} in "
            f"several splits, {near['across_classes']} in several classes: {paths.NEAR_DUPLICATES}"
        )
    for row in table[table["excluded"] != ""].itertuples():
        lines.append(f"left out: {row.path}: {row.excluded}")
    if others:
        what = "file that is not an image" if len(others) == 1 else "files that are not images"
        lines.append(f"ignored {len(others)} {what}: {named(others)}")
    return "\n".join(lines)
