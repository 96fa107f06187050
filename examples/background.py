"""The traffic around the four journeys: short lives of other boxes, waybills and declarations."""

from examples import background_air, background_export, background_import, background_rail
from examples.post import Sent


def posts() -> list[Sent]:
    return [*background_import.posts(), *background_export.posts(), *background_rail.posts(), *background_air.posts()]
