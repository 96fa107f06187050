"""The datasets: what an owner's permission is about, and into which of them a statement about cargo falls.

Which department owns a dataset, and to whom it is disclosed, is decided in the register (domain/disclosure.py), not
here. A statement falls into one dataset by its subject, its milestone and the mode of transport, whichever source says
it, so that two sources that say the same say it in the same dataset.
"""

from typing import NamedTuple


class Dataset(NamedTuple):
    name: str
    zh: str
    en: str


CLEARANCE = "customs.clearance"
DECLARATIONS = "customs.declarations"
MANIFEST = "manifest"
PORT = "port.movements"
RAIL = "rail.movements"
AIR = "air.movements"
ROAD = "road.movements"

DATASETS = {
    each.name: each
    for each in (
        Dataset(CLEARANCE, "通关状态", "Customs clearance"),
        Dataset(DECLARATIONS, "报关申报内容", "What declarants enter"),
        Dataset(MANIFEST, "舱单", "Manifests"),
        Dataset(PORT, "港口与水路动态", "Port and waterway movements"),
        Dataset(RAIL, "铁路动态", "Rail movements"),
        Dataset(AIR, "航空动态", "Air movements"),
        Dataset(ROAD, "公路动态", "Road movements"),
    )
}
MODES = {"VESSEL": PORT, "BARGE": PORT, "RAIL": RAIL, "AIR": AIR, "TRUCK": ROAD}
KINDS = {"awb": AIR, "rail": RAIL, "truck": ROAD, "manifest": MANIFEST}


def of(subject: str, code: str, mode: str) -> str:
    """The dataset of a statement.

    >>> of("container:CSQU3054383", "LOADED", "VESSEL"), of("container:CSQU3054383", "HOLD_PLACED", "")
    ('port.movements', 'customs.clearance')
    """
    kind = subject.partition(":")[0]
    if kind == "declaration" or code.startswith("HOLD_"):
        return CLEARANCE
    if code.startswith("MAN_"):
        return MANIFEST
    return MODES.get(mode) or KINDS.get(kind, PORT)
