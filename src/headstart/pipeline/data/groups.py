"""Groups of images that must not be torn apart: frames of one video, pictures of one object."""

import re
from collections.abc import Iterable, Sequence

from headstart.errors import DataError
from headstart.ground.wording import named
from headstart.pipeline.data.layout import Found
from headstart.pipeline.data.near_duplicates import Groups
from headstart.pipeline.data.settings import Pattern

SHOWN = 5  # paths that an error names
SIMILAR = "similar to "  # a group of near duplicates: with the digest of a picture


def groups_of(found: Sequence[Found], group: str | Pattern | None) -> list[str]:
    """The group of each image, as `split.group` defines it; "" for all without one.

    `folder` is the folder below the class, whatever the class: `cat/day1/1.png` and `dog/day1/2.png` are one
    group.

    Raises:
        DataError: an image has no group.
    """
    if group is None or group == "similar":  # see similar_groups
        return [""] * len(found)
    if isinstance(group, Pattern):
        pattern = re.compile(group.regex)
        groups = [_matched(pattern, each.path) for each in found]
        why = f"the pattern {group.regex!r} of split.group does not match"
    elif group == "folder":
        groups = [each.folder for each in found]
        why = "split.group is folder, and there is no folder below the class of"
    else:
        groups = [each.group for each in found]
        why = "split.group is column, and the table of labels (data.labels) names no group for"
    lacking = [each.path for each, own in zip(found, groups, strict=True) if not own and each.label]
    if lacking:
        raise DataError(f"{why} {named(lacking, SHOWN)}; every image needs a group")
    return groups


def similar_groups(pixels: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The group of each picture: near duplicates get the name of their lowest digest, all others "".

    Args:
        pixels: digest of each decoded picture.
        pairs: digests of near duplicates.
    """
    order = sorted(set(pixels))
    place = {digest: number for number, digest in enumerate(order)}
    connected = Groups(len(order))
    alike = set()
    for first, second in pairs:
        connected.connect(place[first], place[second])
        alike |= {first, second}
    return [SIMILAR + order[connected.root(place[each])] if each in alike else "" for each in pixels]


def split_key(pixels: str, group: str) -> str:
    """The text whose hash decides a split: the group, else the pixels; of near duplicates one picture's."""
    if group.startswith(SIMILAR):
        return group.removeprefix(SIMILAR)
    return f"group {group}" if group else pixels


def _matched(pattern: re.Pattern[str], path: str) -> str:
    """The pattern's first group in a path, or all that it matches; "" if it does not match."""
    match = pattern.search(path)
    if match is None:
        return ""
    return (match[1] if pattern.groups else match[0]) or ""
