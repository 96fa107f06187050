"""The code tables that a declaration is checked against, Chinese and English.

Closed lists (transport modes, terms of trade, duty modes, entry types) refuse what is not in them. The list of regimes
and that of customs districts are open: the national ones are longer and change, so an unknown code of the right form is
only warned of. Source: customs form instructions (报关单填制规范), tables 运输方式, 成交方式, 征减免税方式, 监管方式.
"""

TRANSPORT_MODES = {
    "0": ("非保税区", "outside a bonded area"),
    "1": ("监管仓库", "supervised warehouse"),
    "2": ("水路运输", "water"),
    "3": ("铁路运输", "rail"),
    "4": ("公路运输", "road"),
    "5": ("航空运输", "air"),
    "6": ("邮件运输", "post"),
    "7": ("保税区", "bonded area"),
    "8": ("保税仓库", "bonded warehouse"),
    "9": ("其他运输", "other"),
    "G": ("固定设施运输", "fixed installation"),
    "H": ("边境特殊海关作业区", "border customs operation zone"),
    "L": ("旅客携带", "carried by travellers"),
    "T": ("综合试验区", "comprehensive pilot zone"),
    "W": ("物流中心", "logistics centre"),
    "X": ("物流园区", "logistics park"),
    "Y": ("保税港区", "bonded port area"),
    "Z": ("出口加工区", "export processing zone"),
}
MODE_OF = {"VESSEL": "2", "BARGE": "2", "RAIL": "3", "TRUCK": "4", "AIR": "5"}
"""Mode of a movement (domain/report.py) -> 运输方式."""

WITH_A_BILL = frozenset("235")  # by water, rail and air goods have a bill and a named means of transport

TERMS = {"1": "CIF", "2": "C&F", "3": "FOB", "4": "C&I", "5": "市场价", "6": "垫仓", "7": "EXW"}
DUTY_MODES = {
    "1": ("照章征税", "taxed by the tariff"),
    "2": ("折半征税", "taxed at half"),
    "3": ("全免", "exempt"),
    "4": ("特案", "special case"),
    "5": ("随征免性质", "by the nature of exemption"),
    "6": ("保证金", "deposit"),
    "7": ("保函", "letter of guarantee"),
    "8": ("折半补税", "half supplemented"),
    "9": ("全额退税", "full refund"),
}
ENTRY_TYPES = {
    "0": ("普通", "ordinary"),
    "L": ("带清单", "with list"),
    "W": ("无纸", "paperless"),
    "D": ("清单兼无纸", "list and paperless"),
    "M": ("通关无纸化", "paperless clearance"),
}
_TYPES = "ML SD LY CL SS SW SZ SM SL MF MK MT TT IT EX EC MU AL BL H1 H2"
DOCUMENT_TYPES = frozenset(_TYPES.split())
"""单据类型, first two positions of Type; blank for an ordinary declaration."""

REGIMES = {
    "0110": ("一般贸易", "ordinary trade"),
    "0130": ("易货贸易", "barter"),
    "0214": ("来料加工", "processing with supplied materials"),
    "0255": ("来料深加工", "further processing, supplied"),
    "0300": ("来料料件退换", "supplied materials exchanged"),
    "0420": ("加工贸易设备", "equipment for processing trade"),
    "0513": ("补偿贸易", "compensation trade"),
    "0615": ("进料对口", "processing with imported materials, matched"),
    "0654": ("进料深加工", "further processing, imported"),
    "0664": ("进料料件复出", "imported materials re-exported"),
    "0715": ("进料非对口", "processing with imported materials, unmatched"),
    "1039": ("市场采购", "market procurement"),
    "1200": ("保税间货物", "between bonded places"),
    "1210": ("保税电商", "bonded e-commerce"),
    "1233": ("保税仓库货物", "bonded warehouse goods"),
    "1234": ("保税区仓储转口", "bonded entrepot"),
    "1239": ("保税电商A", "bonded e-commerce A"),
    "1300": ("修理物品", "goods for repair"),
    "1500": ("租赁不满一年", "lease under a year"),
    "1523": ("租赁贸易", "leasing"),
    "1616": ("寄售代销", "consignment sale"),
    "2025": ("合资合作设备", "joint-venture equipment"),
    "2225": ("外资设备物品", "foreign-invested equipment"),
    "2600": ("暂时进出货物", "temporary admission"),
    "2700": ("展览品", "exhibits"),
    "3010": ("货样广告品", "samples and advertising"),
    "3100": ("无代价抵偿", "replacement without charge"),
    "3410": ("承包工程进口", "contracted works, import"),
    "3422": ("对外承包出口", "contracted works, export"),
    "3511": ("援助物资", "aid"),
    "3612": ("捐赠物资", "donations"),
    "4019": ("边境小额", "border trade"),
    "4500": ("直接退运", "direct return"),
    "4561": ("退运货物", "returned goods"),
    "5000": ("料件进出区", "materials in and out of a zone"),
    "5010": ("特殊区域研发货物", "research goods of a zone"),
    "5014": ("区内来料加工", "zone processing, supplied"),
    "5015": ("区内进料加工货物", "zone processing, imported"),
    "5034": ("区内物流货物", "zone logistics goods"),
    "5100": ("成品进出区", "products in and out of a zone"),
    "5335": ("境外设备进区", "equipment into a zone"),
    "6033": ("物流中心进出境货物", "logistics centre goods"),
    "9610": ("电子商务", "e-commerce"),
    "9700": ("后续补税", "tax supplemented"),
    "9710": ("跨境电商B2B直接出口", "e-commerce B2B export"),
    "9810": ("跨境电商出口海外仓", "e-commerce export to overseas warehouse"),
    "9900": ("其他", "other"),
}

_DIRECT = (
    "01 02 04 05 06 07 08 09 15 19 22 23 29 31 33 35 37 40 42 43 46 47 49 51 52 53 57 60 64 67 68 72 79 80 83 86 88"
    " 90 94 95 96 97"
)
DIRECT_CUSTOMS = frozenset(_DIRECT.split())
"""The first two digits of a customs district: the 42 directly affiliated customs."""
