"""Messages for the benchmarks: made by us, valid, each different, a realistic number of facts per container."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
from stdnum import iso6346

from domain import container, fact
from domain.fact import digest_id
from domain.intent import Intent, NewFact
from domain.report import Moment, Movement

START = datetime(2024, 1, 1, tzinfo=UTC)
FACTS_PER_BOX = 20
MINUTES = 700_000  # of a year and a bit: all of it in the past


def box(number: int) -> str:
    """A container number with its check digit."""
    body = f"KOU{'UJZ'[number // 1_000_000 % 3]}{number % 1_000_000:06d}"
    return f"{body}{iso6346.calc_check_digit(body)}"


def moved(number: int) -> Movement:
    """The nth movement: the boxes take turns, each event some minutes after the last."""
    return Movement(
        subject=f"container:{box(number // FACTS_PER_BOX)}",
        code="DISCHARGED",
        raw_code="44",
        when=Moment(START + timedelta(minutes=number % MINUTES), "2024-01-01T08:00", "Asia/Shanghai", "place"),
        place="CNSHG",
        facility="YANGSHAN",
        mode="VESSEL",
        transport="KOUAN STAR 031W",
        laden=True,
        weight_kg=21500.0,
        refs=(f"bl:KOUA{number // FACTS_PER_BOX // 2:07d}",),
    )


def append_intents(first: int, count: int) -> list[Intent]:
    """One batch of `count` facts as the journal takes them."""
    facts = []
    message_id = digest_id("bench", str(first))
    for number in range(first, first + count):
        report = moved(number)
        told = container.observe(report, source="bench", message_id=message_id, sent_at=START, now=START)
        facts.append(NewFact(report.subject, fact.identity(report.subject, told), told))
    return [Intent(facts=facts)]


def coarri(first: int, count: int) -> bytes:
    """An interchange of one message with `count` discharged boxes."""
    reference = f"B{first}"
    segments = [
        f"UNH+{reference}+COARRI:D:95B:UN:ITG13",
        f"BGM+44+{reference}+9",
        "TDT+20+031W+1+13+COS:172:20+++3ERX3:103::KOUAN STAR",
        "LOC+11+CNSHG:139:6+YANGSHAN:TER:ZZZ",
    ]
    for number in range(first, first + count):
        at = (START + timedelta(minutes=number % MINUTES)).strftime("%Y%m%d%H%M")
        segments += [
            f"EQD+CN+{box(number // FACTS_PER_BOX)}+45G1:102:5++3+5",
            f"DTM+203:{at}:203",
            "LOC+9+NLRTM:139:6",
            "MEA+AAE+EGW+KGM:21500",
        ]
    segments += [f"CNT+16:{count}", f"UNT+{len(segments) + 2}+{reference}"]
    head, tail = f"UNB+UNOA:2+BENCH+KOUAN+240101:0800+{reference}", f"UNZ+1+{reference}"
    return "".join(f"{segment}'\r\n" for segment in (head, *segments, tail)).encode()


def papers(first: int, count: int, step: int) -> list[tuple[str, bytes]]:
    """Manifest and release for every `step`th of some boxes, as two bodies with their formats."""
    receipts, answers = [], []
    for number in range(first, first + count, step):
        named = {"BillNo": f"KOUA{number // 2:07d}", "ContainerNos": box(number), "NoticeTime": "20250601080000"}
        head = {"MessageID": f"M{number}", "FunctionCode": "9", "MessageType": "MT1101"}
        answers.append({"Head": head, "Response": {"ResponseCode": "01", **named}})
        entry = {"EntryId": f"2248202610{number:08d}", "CustomMaster": "2308", "IEPort": "2248", **named}
        receipts += [entry | {"ReceiptCode": code} for code in ("L", "G", "P")]
    return [("manifest", msgspec.json.encode(answers)), ("customs-receipt", msgspec.json.encode(receipts))]


def native(first: int, count: int) -> bytes:
    """NDJSON, one message for each fact."""
    lines = []
    for number in range(first, first + count):
        at = (START + timedelta(minutes=number % MINUTES)).strftime("%Y-%m-%dT%H:%M:00+08:00")
        subject = f"container:{box(number // FACTS_PER_BOX)}"
        item = {"id": f"n{number}", "subject": subject, "code": "LOADED", "happened_at": at}
        item |= {"place": "CNSHG", "mode": "VESSEL", "transport": "KOUAN STAR 031W"}
        lines.append(msgspec.json.encode(item))
    return b"\n".join(lines)


def dcsa(first: int, count: int) -> bytes:
    """An array of equipment events."""
    events = []
    for number in range(first, first + count):
        at = (START + timedelta(minutes=number % MINUTES)).strftime("%Y-%m-%dT%H:%M:00+08:00")
        vessel = {"vesselIMONumber": "9321483", "vesselName": "KOUAN STAR"}
        call = {"transportCallID": "c1", "modeOfTransport": "VESSEL", "UNLocationCode": "CNSHG", "vessel": vessel}
        events.append(
            {
                "eventID": str(uuid4()),
                "eventType": "EQUIPMENT",
                "eventClassifierCode": "ACT",
                "eventDateTime": at,
                "eventCreatedDateTime": at,
                "equipmentEventTypeCode": "GTIN",
                "equipmentReference": box(number // FACTS_PER_BOX),
                "emptyIndicatorCode": "LADEN",
                "transportCall": call,
                "documentReferences": [
                    {"documentReferenceType": "BKG", "documentReferenceValue": f"KOU{number // 50}"}
                ],
            }
        )
    return msgspec.json.encode(events)


FORMATS = {"coarri": coarri, "dcsa": dcsa, "native": native}
