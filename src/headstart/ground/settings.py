"""Building blocks for the sections of params.yaml, and the names of the splits."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

SPLITS = ("train", "val", "test")
COLUMN = "column:"  # what a further column of the table of labels is called in the manifest, before its name

Precision = Literal["fp32", "bf16"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Level = Annotated[float, Field(gt=0, lt=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """A frozen section: unknown keys and wrong types are errors; defaults are checked like values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    def changed(self, **changes: Any) -> Self:
        """A copy with some keys changed, validated like the original.

        Raises:
            ValidationError: a key is unknown or its value is wrong.
        """
        return type(self).model_validate({**dict(self), **changes})

    @classmethod
    def subsections(cls) -> "dict[str, type[Section]]":
        """The sections that are always part of this one, by their names in params.yaml."""
        kinds = {field.alias or name: field.annotation for name, field in cls.model_fields.items()}
        return {
            key: kind for key, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Section)
        }

    def lacking(self, above: str = "") -> dict[str, Any]:
        """The keys that were not given, by dotted name, with their defaults.

        A section of which nothing was given is one entry, whose value is the `Section`.

        Args:
            above: dotted name of this section with a dot behind it; empty for all of params.yaml.
        """
        found: dict[str, Any] = {}
        inner = self.subsections()
        for name, field in type(self).model_fields.items():
            key, value = field.alias or name, getattr(self, name)
            if name not in self.model_fields_set or (key in inner and not value.model_fields_set):
                found[f"{above}{key}"] = value
            elif key in inner:
                found |= value.lacking(f"{above}{key}.")
        return found
