"""Section `data` of params.yaml."""

from typing import Annotated

from pydantic import Field

from headstart.ground.settings import Section, Share


class Data(Section):
    source: str | None
    settle_seconds: Annotated[float, Field(ge=0)]
    max_removed: Share
