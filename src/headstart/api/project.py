"""`headstart.Project`: run the stages of a project, and read its results."""

import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from headstart import repository
from headstart.api.model import Model, load_in
from headstart.api.report import Report
from headstart.errors import DefaultsUsed, StageError, StaleResults
from headstart.ground import paths
from headstart.ground.wording import named
from headstart.host.project import be_quiet, find_root, not_a_project

if TYPE_CHECKING:
    import pandas as pd

MEASURED = "evaluate"  # the stage that makes all results which are read here


class Bounds(TypedDict):
    """Ends of an interval."""

    low: float
    high: float


class ClassFigures(TypedDict):
    """One class against the rest.

    A figure is None if it has nothing to count: `precision` if the class was never predicted, `recall` if it
    has no images, `f1` if both, and `roc_auc` if one side has no images.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    support: int


class Figures(TypedDict):
    """Figures on the test images, with the interval of each by its name, and those of each class by its name.

    `roc_auc` is None if no class has images on both sides; `groups` is there if images are grouped.
    """

    images: int
    groups: NotRequired[int]
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    roc_auc: float | None
    log_loss: float
    intervals: dict[str, Bounds]
    classes: dict[str, ClassFigures]


class Project:
    """A project on this machine. The stages run its own code; results are read by the imported Headstart.

    Args:
        folder: the project's root, or any folder in it.

    Attributes:
        root: the project's root, absolute.

    Raises:
        StageError: no project encloses the folder.
    """

    def __init__(self, folder: str | os.PathLike[str] = ".") -> None:
        start = Path(folder).resolve()
        root = find_root(start)
        if root is None:
            raise StageError(f"{not_a_project(start)}; name one")
        self.root = root
        be_quiet()

    def __repr__(self) -> str:
        return f"<headstart.Project {self.root}>"

    def repro(self, *targets: str) -> list[str]:
        """Run every stage that is out of date, as `dvc repro` does; its output is printed as it comes.

        Args:
            targets: names of stages, to run only these and those before them.

        Returns:
            The stages that ran, in order; those that DVC restored from its run cache did not.

        Raises:
            StageError: a stage failed, or there is no such stage; the message has the reason.
        """
        return repository.run_stages(targets, _print, _show, folder=self.root, python=sys.executable)

    def stale(self) -> list[str]:
        """The stages and .dvc files that `dvc status` finds out of date; empty if everything is up to date.

        Raises:
            LineageError: DVC fails, for example because another process is working in the project.
        """
        return list(repository.stale(folder=self.root))

    def metrics(self) -> Figures:
        """The figures on the test images, with their intervals, and those of each class.

        Raises:
            StaleResults: there are no results, or they are older than the code, data or parameters.
        """
        self._check_current()
        from headstart.pipeline.evaluation.figures import read_classes, read_headline

        folder = self.root / paths.METRICS.parent
        classes = {name: asdict(own) for name, own in read_classes(folder).items()}
        return cast(Figures, {**read_headline(folder), "classes": classes})

    def predictions(self) -> "pd.DataFrame":
        """The test images with their labels, predictions and probabilities, one row per image.

        Raises:
            StaleResults: there are no results, or they are older than the code, data or parameters.
        """
        self._check_current()
        from headstart.ground.reading import load_table

        return load_table(self.root / paths.PREDICTIONS)

    def report(self) -> Report:
        """The report on the test images; a notebook shows it.

        Raises:
            StaleResults: there are no results, or they are older than the code, data or parameters.
        """
        self._check_current()
        return Report(self.root / paths.REPORT)

    def versions(self) -> "pd.DataFrame":
        """The registered versions, the newest first: one row per version, none if nothing is registered.

        The columns: `version`, its number; `aliases`, a tuple; `verdict` of the gate; `accuracy` on the
        version's own test images; `registered`, a time in UTC; `run`, the address of its run's page, or
        `runs:/ID` if MLflow is a file of the project. If its run was removed for good, `accuracy` is NaN and
        `run` None.

        Raises:
            TrackingError: MLflow is unreachable.
        """
        from headstart.params import load_params, note_on_defaults
        from headstart.versions.registry import listing, tracking

        params = load_params(self.root / paths.PARAMS)
        if note := note_on_defaults(self.root / paths.PARAMS, params):
            warnings.warn(note, DefaultsUsed, stacklevel=2)
        with tracking.in_project(self.root):
            return listing.list_versions(params.register_.model)

    def load(self, model: str | os.PathLike[str]) -> Model:
        """Load a model as `headstart.load` does; a relative path starts from the project's root.

        Raises:
            TrackingError: MLflow is unreachable or has no such model, or Headstart did not register it.
            ModelError: the model was changed after it was registered or written.
        """
        return load_in(self.root, model, self.root)

    def _check_current(self) -> None:
        changed = repository.stale(MEASURED, self.root)
        if not changed:
            return
        if not (self.root / paths.METRICS).exists():
            raise StaleResults(f"{self.root} has no results yet: run `project.repro()`")
        raise StaleResults(
            f"the results in {self.root} are not those of its code, data and parameters: {named(changed)} "
            "changed; run `project.repro()`"
        )


def _print(line: str) -> None:
    print(line, flush=True)


def _show(progress: str) -> None:
    print(f"\r{progress}", end="", file=sys.stderr, flush=True)
