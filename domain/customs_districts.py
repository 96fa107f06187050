"""Customs districts (关区代码) that the ports of Jiangsu and Shaanxi deal with, in Chinese and English.

Four digits: two of the directly affiliated customs, two of the subordinate one. The national table is longer and
changes; a code that is not here is shown as it is, never refused.
"""

# Checked against published tables.
_CHECKED = {
    "2200": ("上海海关", "Shanghai"),
    "2201": ("浦江海关", "Pujiang"),
    "2248": ("洋山港区", "Yangshan port area"),
    "2249": ("洋山保税", "Yangshan bonded area"),
    "2300": ("南京海关", "Nanjing"),
    "2900": ("杭州海关", "Hangzhou"),
    "3100": ("宁波海关", "Ningbo"),
    "4200": ("青岛海关", "Qingdao"),
    "4600": ("郑州海关", "Zhengzhou"),
    "4700": ("武汉海关", "Wuhan"),
    "5100": ("广州海关", "Guangzhou"),
    "5300": ("深圳海关", "Shenzhen"),
    "7900": ("成都海关", "Chengdu"),
    "8000": ("重庆海关", "Chongqing"),
    "9000": ("西安关区", "Xi'an customs area"),
    "9001": ("关中海关", "Guanzhong"),
    "9002": ("咸阳机场", "Xianyang airport"),
    "9003": ("宝鸡海关", "Baoji"),
    "9004": ("邮局海关", "Xi'an post office"),
    "9005": ("陕加工A", "Shaanxi export processing zone A"),
    "9006": ("陕加工B", "Shaanxi export processing zone B"),
    "9007": ("西安综保", "Xi'an comprehensive bonded zone"),
    "9008": ("高新综保", "Xi'an high-tech comprehensive bonded zone"),
    "9009": ("车站海关", "Xi'an railway station"),
    "9010": ("延安海关", "Yan'an"),
    "9011": ("渭南海关", "Weinan"),
    "9012": ("榆林海关", "Yulin"),
    "9013": ("西咸物流", "Xixian logistics"),
    "9014": ("汉中海关", "Hanzhong"),
    "9015": ("商洛海关", "Shangluo"),
    "9400": ("乌鲁木齐海关", "Urumqi"),
    "9402": ("阿拉山口", "Alashankou"),
    "9403": ("霍尔果斯", "Horgos"),
}

# The subordinate customs of Nanjing: not verified against a published table; check before relying on a single code.
_UNVERIFIED = {
    "2301": ("连云港海关", "Lianyungang"),
    "2302": ("南通海关", "Nantong"),
    "2303": ("苏州海关", "Suzhou"),
    "2304": ("无锡海关", "Wuxi"),
    "2305": ("张家港海关", "Zhangjiagang"),
    "2306": ("常州海关", "Changzhou"),
    "2307": ("镇江海关", "Zhenjiang"),
    "2308": ("新生圩海关", "Xinshengwei (Nanjing)"),
    "2309": ("盐城海关", "Yancheng"),
    "2310": ("扬州海关", "Yangzhou"),
    "2311": ("徐州海关", "Xuzhou"),
    "2312": ("江阴海关", "Jiangyin"),
    "2313": ("张家港保税区", "Zhangjiagang bonded zone"),
    "2314": ("苏州工业园区", "Suzhou Industrial Park"),
    "2315": ("淮安海关", "Huai'an"),
    "2316": ("泰州海关", "Taizhou"),
    "2317": ("禄口机场", "Lukou airport (Nanjing)"),
    "2324": ("常熟海关", "Changshu"),
    "2325": ("昆山海关", "Kunshan"),
    "2326": ("吴江海关", "Wujiang"),
    "2327": ("太仓海关", "Taicang"),
}

CUSTOMS: dict[str, tuple[str, str]] = _CHECKED | _UNVERIFIED  # code: Chinese, English


def name(code: str, lang: str) -> str:
    """The district in Chinese if `lang` begins with zh, else in English; the code itself where it is not known.

    >>> name("2300", "zh"), name("9009", "en"), name("0100", "zh")
    ('南京海关', "Xi'an railway station", '0100')
    """
    zh, en = CUSTOMS.get(code, (code, code))
    return zh if lang.startswith("zh") else en
