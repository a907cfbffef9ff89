"""The data of a run as an MLflow dataset: its DVC digest and its counts."""

import json
from typing import Any

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset


class DvcSource(DatasetSource):
    """A folder tracked by DVC, identified by the digest in its .dvc file."""

    def __init__(self, path: str, md5: str, commit: str) -> None:
        self.path = path
        self.md5 = md5
        self.commit = commit

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    def load(self) -> str:
        """The commands that fetch it; DVC fetches by commit, not by digest."""
        return f"git checkout {self.commit} && dvc pull {self.path}"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DvcSource":
        raise TypeError("a DVC source is made from its path, digest and commit")

    def to_dict(self) -> dict[str, str]:
        return {"path": self.path, "md5": self.md5, "commit": self.commit}

    @classmethod
    def from_dict(cls, source_dict: dict[str, str]) -> "DvcSource":
        return cls(**source_dict)


class ImageFolder(MetaDataset):
    """Image counts per class and split, shown in MLflow as the dataset's profile."""

    def __init__(self, source: DvcSource, counts: dict[str, dict[str, int]]) -> None:
        self._counts = counts
        super().__init__(source=source, name="data", digest=source.md5)

    @property
    def profile(self) -> dict[str, dict[str, int]]:
        return self._counts

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "profile": json.dumps(self._counts, ensure_ascii=False)}
