"""Limits of what a picture may be, the same for training and for every answer of a version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.pipeline.data.settings import KNOWN_MODES, Validate

MULTI_PICTURE = "MPO"  # a format whose extra frames are previews or the other half of a stereo pair


@dataclass(frozen=True)
class Limits:
    """The formats, colour modes and size that training accepted; a version carries them in its head.

    Attributes:
        formats: Pillow's names; empty means any that Headstart reads.
        modes: Pillow's names.
        min_size: pixels of the shorter side.
    """

    formats: tuple[str, ...]
    modes: tuple[str, ...]
    min_size: int

    @classmethod
    def of(cls, validate: Validate) -> "Limits":
        """The limits that section `validate` sets."""
        return cls.in_params(validate.model_dump())

    @classmethod
    def in_params(cls, validate: Mapping[str, Any]) -> "Limits":
        """The limits in section `validate` of a params.yaml, which may be an older one."""
        return cls(tuple(validate["formats"]), tuple(validate["modes"]), int(validate["min_size"]))

    @classmethod
    def in_head(cls, metadata: Mapping[str, Any]) -> "Limits":
        """The limits in a head's metadata; a head from before they were stored has those for any picture."""
        found = metadata.get("limits")
        if found is None:
            return ANY_PICTURE
        return cls.in_params(found)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, for metadata."""
        return {"formats": list(self.formats), "modes": list(self.modes), "min_size": self.min_size}

    def problems(self, form: str, mode: str, width: int, height: int, frames: int) -> list[str]:
        """The reasons why a decoded picture is refused, in the words of validation; empty if it is fine."""
        found = []
        if self.formats and form not in self.formats:
            found.append(other_kind("format", form, self.formats))
        if mode not in self.modes:
            found.append(other_kind("mode", mode, self.modes))
        sides = (("width", width), ("height", height))
        found += [too_short(name, side, self.min_size) for name, side in sides if side < self.min_size]
        if frames != 1 and form != MULTI_PICTURE:
            found.append(several_frames(frames))
        return found


ANY_PICTURE = Limits((), KNOWN_MODES, 1)


def other_kind(name: str, found: str, allowed: Sequence[str]) -> str:
    return f"{name} is {found or 'unknown'}, expected one of {', '.join(allowed)}"


def too_short(name: str, pixels: int, least: int) -> str:
    return f"{name} is {pixels} pixels, expected at least {least}"


def several_frames(frames: int) -> str:
    return f"holds {frames} frames, expected 1"
