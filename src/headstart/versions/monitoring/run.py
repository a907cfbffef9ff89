"""`headstart monitor`: new images against those that a registered version was made from."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headstart.ground.files import write_text
from headstart.pipeline.data.manifest import read_manifest
from headstart.pipeline.data.reading import shown
from headstart.pipeline.store.store import Store, open_rows
from headstart.progress import bar
from headstart.versions.monitoring import page
from headstart.versions.monitoring.age import Age, age_of
from headstart.versions.monitoring.drift import Drift, Reference, compare
from headstart.versions.monitoring.images import Images
from headstart.versions.monitoring.observing import Observed, Observer
from headstart.versions.monitoring.reference import observed_split
from headstart.versions.monitoring.settings import Monitor
from headstart.versions.registry import stored_model
from headstart.versions.registry.record import MANIFEST, Record, open_record
from headstart.versions.registry.uri import ModelUri


@dataclass(frozen=True)
class Monitored:
    """A comparison with what its page shows.

    Attributes:
        model: `models:/NAME/VERSION`.
        source: the images compared, as the caller named them.
        age: of the version; None if `monitor.max_age_days` is null or the model is not a version.
    """

    model: str
    source: str
    found: Drift
    reference: Reference
    new: Observed
    age: Age | None

    def as_text(self) -> str:
        """The comparison for a terminal, and the version's age if it is too old."""
        text = page.as_text(self.model, self.source, self.found)
        return f"{text}\n{self.age.sentence()}" if self.age is not None and self.age.is_old else text

    def as_markdown(self) -> str:
        return page.as_markdown(self.model, self.source, self.found)

    def write(self, html: Path) -> None:
        """Write the page."""
        write_text(html, page.as_html(self.model, self.source, self.found, self.reference, self.new))

    def as_dict(self) -> dict[str, Any]:
        """The result for programs."""
        return page.as_dict(self.model, self.source, self.found, self.age)


def monitor(
    images: Images, model: str, settings: Monitor, tell: Callable[[str], object] = lambda text: None
) -> Monitored:
    """Compare images with those of a version.

    Args:
        model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.

    Raises:
        LineageError: the images of the version cannot be fetched.
        TrackingError: MLflow is out of reach or has no such version.
    """
    looked_at = _drawn(images.files, settings)
    stored = stored_model.fetch(model)
    observer = Observer(stored.head, stored.backbone())
    with TemporaryDirectory() as folder, open_rows() as store:
        record = open_record(stored.name, Path(folder))
        tell(f"{record.name}: {len(images.files)} files, {len(looked_at)} of them are looked at")
        reference = _reference(record, observer, store, settings)
        with bar(len(looked_at), "new images") as progress:
            named = [(shown(str(path)), path) for path in looked_at]
            new = observer.observe(named, store, progress.update)
    found = compare(reference, new, len(images.files), len(looked_at), settings)
    is_version = ModelUri.parse(record.name).number is not None
    age = age_of(record.name, settings.max_age_days) if settings.max_age_days and is_version else None
    return Monitored(record.name, images.source, found, reference, new, age)


def _drawn(files: list[Path], settings: Monitor) -> list[Path]:
    """At most `max_rows` files, the same ones each time, in the order given."""
    if len(files) <= settings.max_rows:
        return files
    chosen = random.Random(settings.seed).sample(range(len(files)), settings.max_rows)
    return [files[index] for index in sorted(chosen)]


def _reference(record: Record, observer: Observer, store: Store, settings: Monitor) -> Reference:
    manifest = read_manifest(record.file(MANIFEST))
    images = manifest.drop_duplicates("pixels")
    known = images.loc[images["split"] != "test", "pixels"]
    train, held_out = (
        observed_split(
            record, images[images["split"] == split].head(settings.max_rows), observer, store, split
        )
        for split in ("train", "test")
    )
    return Reference(train, held_out, frozenset(known.tolist()))
