"""Answers made by hand, as the API gives them: an import box by sea, barge and customs, and an air waybill in parts.

Times are those of the places; the numbers are made up, with right check digits.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.answer import KINDS, Answer, Header, Journey, Standing
from billing.metering import UsageReport, UsageRow
from domain.milestones import MILESTONES
from projections.timeline import Line, Remark

PLACES = {
    "NLRTM": ("鹿特丹", "Rotterdam", "Europe/Amsterdam", "+02:00"),
    "CNYSH": ("上海洋山", "Yangshan, Shanghai", "Asia/Shanghai", "+08:00"),
    "CNNKG": ("南京", "Nanjing", "Asia/Shanghai", "+08:00"),
    "2223": ("洋山海关", "Yangshan Customs", "Asia/Shanghai", "+08:00"),
    "NLAMS": ("阿姆斯特丹", "Amsterdam", "Europe/Amsterdam", "+02:00"),
    "PVG": ("上海浦东", "Shanghai Pudong", "Asia/Shanghai", "+08:00"),
}
BOX, DECLARATION, BILL = "container:CSQU3054383", "declaration:222320261000012345", "bl:COSU6384512370"
WAYBILL = "awb:07412345675"
NOW = datetime(2026, 10, 13, 1, 0, tzinfo=UTC)


def fact(number: int) -> UUID:
    return UUID(int=0x8 << 76 | 0x8 << 60 | number)


def line(position: int, code: str, wall: str, place: str, source: str, **told: Any) -> Line:
    zh, en, zone, offset = PLACES[place]
    milestone = MILESTONES.get(code)
    told = {"subject": BOX, "classifier": "ACT", "raw_code": code, "fact": "container.reported"} | told
    return Line(
        position=position,
        fact_id=fact(position),
        code=code,
        zh=milestone.zh if milestone else told["text"],
        en=milestone.en if milestone else told["text"],
        happened_at=f"{wall}:00{offset}",
        zone=told.pop("zone", zone),
        zone_from=told.pop("zone_from", "place"),
        recorded_at=datetime(2026, 10, 12, 3, position, 7, tzinfo=UTC),
        place=place,
        place_zh=zh,
        place_en=en,
        source=source,
        message_id=UUID(int=0x8 << 76 | 0x8 << 60 | 0xABC0 + position),
        **told,
    )


def remark(kind: str, source: str, **told: Any) -> Remark:
    return Remark(kind, fact(901), source, fact(900), datetime(2026, 10, 12, 5, 20, tzinfo=UTC), **told)


def box_lines() -> list[Line]:
    sea: dict[str, Any] = {"mode": "VESSEL", "transport": "COSCO SHIPPING ARIES / 041E", "laden": True}
    barge: dict[str, Any] = {"mode": "BARGE", "transport": "集海之源 / 1018W", "laden": True}
    customs: dict[str, Any] = {"subject": DECLARATION, "fact": "declaration.receipt_recorded", "refs": (BOX, BILL)}
    wrong = remark("corrected", "port.rotterdam", replaced_by=fact(3), reason="wrong stowage position reported")
    gone = remark("retracted", "port.yangshan", reason="报错箱号")
    again = (remark("confirmed", "carrier.cosco"), remark("confirmed", "tally.shanghai"))
    return [
        line(
            1,
            "GATE_IN",
            "2026-09-08T14:20",
            "NLRTM",
            "port.rotterdam",
            raw_code="36",
            facility="ECT Delta",
            seal="NL884120",
            weight_kg=21450.0,
            **sea,
        ),
        line(2, "LOADED", "2026-09-10T21:40", "NLRTM", "port.rotterdam", raw_code="46", corrected=wrong, **sea),
        line(3, "LOADED", "2026-09-10T22:15", "NLRTM", "port.rotterdam", raw_code="46", facility="ECT Delta", **sea),
        line(
            4,
            "BL_ISSUED",
            "2026-09-11T10:00",
            "NLRTM",
            "carrier.cosco",
            subject=BILL,
            raw_code="ISSU",
            refs=(BOX,),
            fact="shipment.document_issued",
        ),
        line(
            5, "VSL_DEP", "2026-09-11T18:30", "NLRTM", "carrier.cosco", raw_code="DEPA", confirmed_by=again[1:], **sea
        ),
        line(6, "VSL_BERTH", "2026-10-09T05:50", "CNYSH", "port.yangshan", raw_code="靠泊", facility="洋山四期", **sea),
        line(
            7,
            "DISCHARGED",
            "2026-10-09T16:05",
            "CNYSH",
            "port.yangshan",
            raw_code="44",
            facility="洋山四期",
            confirmed_by=again,
            **sea,
        ),
        line(8, "GATE_OUT", "2026-10-09T19:30", "CNYSH", "port.yangshan", raw_code="34", retracted=gone, **sea),
        line(
            9, "DEC_SUBMITTED", "2026-10-10T09:12", "2223", "customs.shanghai", raw_code="2", text="申报成功", **customs
        ),
        line(
            10,
            "DEC_ACCEPTED",
            "2026-10-10T09:15",
            "2223",
            "customs.shanghai",
            raw_code="L",
            text="海关入库成功",
            **customs,
        ),
        line(
            11, "INSP_ORDERED", "2026-10-10T10:40", "2223", "customs.shanghai", raw_code="C", text="查验通知", **customs
        ),
        line(
            12,
            "",
            "2026-10-10T15:00",
            "2223",
            "customs.shanghai",
            raw_code="S",
            text="机检完成 <S>",
            warnings=("Receipt code 'S' is read differently by different tables",),
            **customs,
        ),
        line(13, "DEC_RELEASED", "2026-10-11T11:26", "2223", "customs.shanghai", raw_code="P", text="放行", **customs),
        line(
            14,
            "BARGE_LOAD",
            "2026-10-12T08:45",
            "CNYSH",
            "port.yangshan",
            raw_code="装驳船",
            zone="+08:00",
            zone_from="stated",
            **barge,
        ),
        line(15, "BARGE_DEP", "2026-10-12T11:00", "CNYSH", "barge.jihai", raw_code="DEP", zone_from="assumed", **barge),
        line(16, "BARGE_ARR", "2026-10-13T20:00", "CNNKG", "barge.jihai", raw_code="ETA", classifier="EST", **barge),
        line(17, "BARGE_DISC", "2026-10-14T02:00", "CNNKG", "port.nanjing", raw_code="PLAN", classifier="PLN", **barge),
        line(
            18,
            "GATE_OUT",
            "2026-10-14T09:30",
            "CNNKG",
            "port.nanjing",
            raw_code="APPT",
            classifier="EST",
            mode="TRUCK",
            transport="苏A12345",
        ),
    ]


def air_lines() -> list[Line]:
    air: dict[str, Any] = {"subject": WAYBILL, "mode": "AIR", "pieces_total": 12, "fact": "shipment.reported"}
    flight = {"transport": "KL893 / 09OCT"}
    return [
        line(
            1, "AIR_RCS", "2026-10-08T15:10", "NLAMS", "air.schiphol", raw_code="RCS", pieces=12, weight_kg=638.5, **air
        ),
        line(2, "AIR_DEP", "2026-10-09T20:55", "NLAMS", "air.schiphol", raw_code="DEP", pieces=12, **flight, **air),
        line(3, "AIR_ARR", "2026-10-10T14:25", "PVG", "air.pudong", raw_code="ARR", pieces=12, **flight, **air),
        line(
            4,
            "AIR_RCF",
            "2026-10-10T16:40",
            "PVG",
            "air.pudong",
            raw_code="RCF",
            pieces=5,
            weight_kg=266.0,
            **flight,
            **air,
        ),
        line(
            5,
            "AIR_DIS",
            "2026-10-10T17:05",
            "PVG",
            "air.pudong",
            raw_code="DIS",
            pieces=7,
            text="7 PCS SHORTLANDED",
            **air,
        ),
        line(6, "AIR_RCF", "2026-10-14T16:00", "PVG", "air.pudong", raw_code="RCF", pieces=7, classifier="EST", **air),
    ]


def standing(told: Line) -> Standing:
    kind, _, number = told.subject.partition(":")
    where = (told.place, told.place_zh, told.place_en)
    return Standing(told.subject, *KINDS[kind], number, told.code, told.zh, told.en, told.happened_at, *where)


def box() -> Answer:
    lines = box_lines()
    header = Header(
        number="CSQU3054383",
        kind="container",
        kind_zh="集装箱",
        kind_en="Container",
        journey=Journey(
            "NLRTM", *PLACES["NLRTM"][:2], "CNYSH", *PLACES["CNYSH"][:2], lines[0].happened_at, ("VESSEL", "BARGE")
        ),
        latest=standing(lines[14]),
        linked=[standing(lines[3]), standing(lines[12])],
        warnings=["Receipt code 'S' is read differently by different tables"],
    )
    return Answer(number="CSQU3054383", header=header, lines=lines, position=4211)


def waybill() -> Answer:
    lines = air_lines()
    header = Header(
        number="07412345675",
        kind="awb",
        kind_zh="航空运单",
        kind_en="Air waybill",
        journey=Journey("NLAMS", *PLACES["NLAMS"][:2], "PVG", *PLACES["PVG"][:2], lines[0].happened_at, ("AIR",)),
        latest=standing(lines[4]),
        linked=[],
        warnings=[],
    )
    return Answer(number="07412345675", header=header, lines=lines, position=4211)


def used() -> UsageReport:
    times: dict[str, Any] = {
        "first_at": datetime(2026, 10, 1, 1, 2, tzinfo=UTC),
        "last_at": datetime(2026, 10, 12, 9, 30, tzinfo=UTC),
    }
    free: dict[str, Any] = {
        "item": "track.query",
        "item_class": "government",
        "tariff": None,
        "price_minor": None,
        "amount_minor": 0,
    }
    paid: dict[str, Any] = {"item": "feed.pull", "item_class": "commercial"}
    rows = [
        UsageRow(account="enterprise-demo", deliveries=1204, quantity=1204, currency="CNY", **free, **times),
        UsageRow(account="logistics-demo", deliveries=31, quantity=31, currency="CNY", **free, **times),
        UsageRow(
            account="logistics-demo",
            deliveries=6,
            quantity=0,
            tariff=None,
            price_minor=None,
            amount_minor=0,
            currency="CNY",
            **paid,
            **times,
        ),
        UsageRow(
            account="logistics-demo",
            deliveries=48,
            quantity=23175,
            tariff="feed.pull/sample-2026",
            price_minor=2,
            amount_minor=46350,
            currency="CNY",
            **paid,
            **times,
        ),
    ]
    return UsageReport(
        rows=rows, free_quantity=1235, paid_quantity=23175, amount_minor=46350, currency="CNY", position=9120
    )
