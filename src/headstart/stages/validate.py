"""Stage validate: decode every file, check it, decide what is left out, and assign the splits."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headstart import paths
from headstart.cache import default_folder
from headstart.data import decoding, folders, manifest
from headstart.data.expectations import check_files, check_set, to_json
from headstart.data.rules import FileRules, SetRules
from headstart.errors import DataError
from headstart.files import replacing, write_json
from headstart.progress import bar
from headstart.rows import recipe_digest
from headstart.store import Store


@dataclass(frozen=True)
class Policy:
    """What happens to files that fail their own checks: `exclude` leaves them out, `stop` blocks."""

    on_bad_file: str
    fractions: dict[str, float]
    seed: int


def run(files: FileRules, images: SetRules, policy: Policy) -> str:
    """Write `artifacts/manifest.parquet` and `reports/validation.json`.

    Raises:
        DataError: a check of the set failed, or of a file where the policy says stop. The report is
            written, the manifest is not.
    """
    found = folders.find_files(paths.DATA)
    sources = [Path(manifest.__file__), Path(decoding.__file__)]
    recipe = recipe_digest(manifest.facts_recipe(), sources)
    with Store(default_folder()) as store, bar(len(found), "validate", "file") as progress:
        table = manifest.build_manifest(paths.DATA, found, store, recipe, progress.update)
    file_check = check_files(table, files)
    table["excluded"] = [file_check.failures.get(path, "") for path in table["path"]]
    table["split"] = manifest.assign_splits(table, policy.fractions, policy.seed)
    set_check = check_set(table, images)
    problems = list(set_check.problems)
    if policy.on_bad_file == "stop":
        problems = [f"{path}: {why}" for path, why in sorted(file_check.failures.items())] + problems
    report = to_json(table, file_check, set_check)
    write_json(paths.VALIDATION, {**report, "success": not problems, "problems": problems})
    if problems:
        raise DataError(_blocked(problems, file_check.failures))
    with replacing(paths.MANIFEST) as new:
        table.to_parquet(new, index=False)
    return _summary(table)


def _blocked(problems: list[str], failures: dict[str, str]) -> str:
    lines = [f"validation stopped; {paths.VALIDATION} has the details (`headstart docs` renders them):"]
    lines += [f"  - {problem}" for problem in problems[:10]]
    if len(problems) > 10:
        lines.append(f"  - and {len(problems) - 10} more")
    lines += [f"  left out: {path}: {why}" for path, why in sorted(failures.items())[:10]]
    return "\n".join(lines)


def _summary(table: pd.DataFrame) -> str:
    kept = table[table["excluded"] == ""]
    counts = kept.groupby("split", sort=False).size()
    splits = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("train", "val", "test"))
    lines = [f"{len(kept)} images in {kept['label'].nunique()} classes: {splits}"]
    for row in table[table["excluded"] != ""].itertuples():
        lines.append(f"left out: {row.path}: {row.excluded}")
    return "\n".join(lines)
