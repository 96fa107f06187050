"""Whose cargo the sample journeys are: the sample enterprise's, as the sources that tell of each paper say.

The background of the day is other people's cargo. One more box of the enterprise comes when the message of
`messages/codeco-gate-in.edi` is sent: its booking is named in `register.json`, for no source tells of that.
"""

from examples import air_consignment, rail_export, sea_import, two_step

ENTERPRISE, LOGISTICS, OPERATOR = "91320000MA0000269G", "91320000MA0000277B", "SAMPLE-OPERATOR"
CUSTOMS = "SAMPLE-CUSTOMS"  # only its sources tell what customs says

NAMED: dict[str, str] = {
    f"booking:{sea_import.BOOKING}": "consignee",
    f"bl:{sea_import.BILL}": "consignee",
    f"declaration:{sea_import.ENTRY.seq}": "consignee",
    f"declaration:{sea_import.ENTRY.number}": "consignee",
    f"rail:{rail_export.CONSIGNMENT}": "consignor",
    f"declaration:{rail_export.ENTRY.seq}": "consignor",
    f"declaration:{rail_export.ENTRY.number}": "consignor",
    f"awb:{air_consignment.AWB}": "consignor",
    f"declaration:{air_consignment.ENTRY.seq}": "consignor",
    f"declaration:{air_consignment.ENTRY.number}": "consignor",
    f"booking:{two_step.BOOKING}": "consignee",
    f"bl:{two_step.BILL}": "consignee",
    f"declaration:{two_step.ENTRY.seq}": "consignee",
    f"declaration:{two_step.ENTRY.number}": "consignee",
}
"""The enterprise's role on each paper. The source that tells of the paper first says so (api/demo.py)."""
