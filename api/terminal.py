"""A timeline and a usage report in the terminal: what `kouan track` and `kouan run` print.

Nothing depends on colour, so a pipe reads the same as a screen. What sources wrote is shown as plain text: no markup is
read in it, and control characters, which a terminal would obey, are left out. Below 130 columns the
remark moves under the milestone, and mode and source under the place. Times are on the clock of the
place, with its offset; money is shown from minor units.
"""

import unicodedata
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from api import words
from api.answer import Answer, Standing
from billing.metering import UsageReport, UsageRow
from projections.timeline import Line, Remark

WIDE = 130
PIPED_COLUMNS = 150
STYLES = {"ACT": "", "EST": "cyan", "PLN": "dim"}


def open_console() -> Console:
    """A console for these tables: the width of the terminal, or wide enough for every column where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPED_COLUMNS)


def timeline_table(answer: Answer, lang: str) -> RenderableType:
    """The header and one row for each line; milestones in both languages whatever `lang` is."""
    return _Timeline(answer, "en" if lang == "en" else "zh")


class _Timeline:
    """Chooses its columns when it is told how wide the screen is."""

    def __init__(self, answer: Answer, lang: str) -> None:
        self.answer = answer
        self.lang = lang

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(*_header(self.answer, self.lang), _lines(self.answer, self.lang, wide=options.max_width >= WIDE))


# --- header ---


def _header(answer: Answer, lang: str) -> list[Text]:
    header = answer.header
    kind = words.pick((header.kind_zh, header.kind_en), lang)
    free = words.pick(words.ITEM_CLASSES.get(answer.service.item_class, (answer.service.item_class,) * 2), lang)
    cost = words.pick(("收费", "paid") if answer.service.charged else ("免费", "free"), lang)
    shown = [_text(f"{kind} {words.number(header.kind, header.number)}", "bold").append(f"   {free} · {cost}", "green")]
    shown += _journey(answer, lang)
    if header.latest:
        shown.append(_labelled(("最新", "Latest"), _standing(header.latest, lang), lang))
    for other in header.linked:
        kind = words.pick((other.kind_zh, other.kind_en), lang)
        number = words.number(other.subject.partition(":")[0], other.number)
        shown.append(_labelled(("相关", "Linked"), f"{kind} {number} · {_standing(other, lang)}", lang))
    shown += _together(answer, lang)
    shown += [_labelled(("提醒", "Note"), words.said(warning, lang), lang, "yellow") for warning in header.warnings]
    return shown


def _together(answer: Answer, lang: str) -> list[Text]:
    """What several lines say together: which journey it is, estimates, parts, what is left out, who is silent."""
    header = answer.header
    told: list[tuple[words.Pair, str, str]] = []
    for trip in header.journeys if len(header.journeys) > 1 else ():
        if trip.shown:
            count = len(header.journeys)
            one = words.pick((f"第 {trip.index} 程，共 {count} 程", f"{trip.index} of {count}"), lang)
            told.append((("箱程", "Use"), one, ""))
    told += [(("预计", "ETA"), words.eta(eta, lang), "") for eta in header.eta]
    told += [(("分批", "Parts"), words.part(part, lang), "") for part in header.parts]
    if header.conflicts:
        differ = (f"来源不一致 {header.conflicts} 处", f"sources differ, milestones: {header.conflicts}")
        told.append((("注意", "Mind"), words.pick(differ, lang), "yellow"))
    left_out = words.not_shown(header.withdrawn.retracted, header.withdrawn.corrected, lang)
    if left_out and all(line.stands for line in answer.lines):
        told.append((("另有", "Also"), left_out, "dim"))
    told += [(("来源", "Source"), words.pick((each.zh, each.en), lang), "yellow") for each in answer.sources]
    return [_labelled(label, text, lang, style) for label, text, style in told]


def _journey(answer: Answer, lang: str) -> list[Text]:
    journey = answer.header.journey
    if not journey.origin:
        return []
    ends = (journey.origin_zh, journey.origin_en), (journey.latest_zh, journey.latest_en)
    places = list(dict.fromkeys(words.pick(end, lang) for end in ends))
    modes = [words.mode_name(mode, "", lang) for mode in journey.modes]
    return [_labelled(("行程", "Journey"), " → ".join(places) + f" · {' → '.join(modes)}", lang)]


def _standing(standing: Standing, lang: str) -> str:
    place = words.pick((standing.place_zh, standing.place_en), lang) or standing.place
    told = (f"{standing.zh} {standing.en}", place, words.minute(standing.happened_at))
    return " · ".join(part for part in told if part)


def _labelled(label: words.Pair, text: str, lang: str, style: str = "") -> Text:
    return _text(f"{words.pick(label, lang)}  ", "dim").append_text(_text(text, style))


# --- lines ---


def _lines(answer: Answer, lang: str, *, wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    place, mode, source = (words.pick(pair, lang) for pair in (("地点", "Place"), ("方式", "Mode"), ("来源", "Source")))
    table.add_column(words.pick(("时间", "Time"), lang), no_wrap=True)
    table.add_column(words.pick(("类别", "Class"), lang), no_wrap=True)
    table.add_column(words.pick(("动态", "Milestone"), lang), ratio=5, overflow="fold")
    if wide:
        table.add_column(place, max_width=20, overflow="fold")
        table.add_column(mode, no_wrap=True)
        table.add_column(source, max_width=20, overflow="fold")
        table.add_column(words.pick(("备注", "Remark"), lang), ratio=6, overflow="fold")
    else:
        table.add_column(f"{place} · {mode} · {source}", ratio=4, overflow="fold")
    for line in answer.lines:
        table.add_row(*_row(line, answer, lang, wide=wide))
    return table


def _row(line: Line, answer: Answer, lang: str, *, wide: bool) -> Iterable[Text]:
    style = STYLES.get(line.classifier, "") if line.stands else "strike dim"
    place = words.pick((line.place_zh, line.place_en), lang) or line.place
    mode = words.mode_name(line.mode, line.subject, lang)
    what, remark = _text(_both(line), style or "bold"), _remark(line, answer, lang)
    yield _text(words.minute(line.happened_at), style)
    yield _text(words.class_name(line, lang), style)
    if wide:
        yield what
        yield from (_text(part, style) for part in (place, mode, line.source))
        yield remark
    else:
        yield Text("\n").join([what, *([remark] if remark else [])])
        under = " · ".join(part for part in (mode, line.source) if part)
        yield _text("\n".join(part for part in (place, under) if part), style)


def _both(line: Line) -> str:
    """The milestone in both languages, or the source's own code."""
    return " ".join(dict.fromkeys(name for name in (line.zh, line.en) if name)) or line.raw_code


def _remark(line: Line, answer: Answer, lang: str) -> Text:
    parts: list[Text] = []
    if line.retracted:
        parts.append(_text(_taken_back(("已撤回", "RETRACTED"), line.retracted, lang), "red"))
    if line.corrected:
        by = next((other for other in answer.lines if other.fact_id == line.corrected.replaced_by), None)
        new = f" → {words.minute(by.happened_at)}" if by else ""
        parts.append(_text(_taken_back(("已更正", "CORRECTED"), line.corrected, lang) + new, "red"))
    if line.conflict:
        word = ("不一致，采用", "CONTRADICTED, counts") if line.conflict.won else ("不一致，未采用", "CONTRADICTED")
        rule = words.pick((line.conflict.rule_zh, line.conflict.rule_en), lang)
        parts.append(_text(f"{words.pick(word, lang)} ({rule})", "yellow"))
    if why := words.overtaken(answer.header.eta).get(line.fact_id):
        parts.append(_text(words.pick(words.OVERTAKEN[why], lang), "dim"))
    if line.subject != f"{answer.header.kind}:{answer.number}":
        kind, _, number = line.subject.partition(":")
        parts.append(_text(words.number(kind, number), "dim"))
    for text in (words.pieces(line, lang), line.transport):
        parts += [_text(text)] if text else []
    if line.confirmed_by:
        sources = ", ".join(dict.fromkeys(remark.source for remark in line.confirmed_by))
        parts.append(_text(f"{words.pick(('另有证实', 'also'), lang)} {sources}", "green"))
    if not line.code:
        parts.append(_text(f"{words.pick(('代码未识别', 'unknown code'), lang)} {line.raw_code}", "yellow"))
    note = words.pick(("提醒", "note"), lang)
    parts += [_text(f"{note} {words.said(warning, lang)}", "yellow") for warning in line.warnings]
    return Text("; ").join(parts)


def _taken_back(label: words.Pair, remark: Remark, lang: str) -> str:
    by = words.pick((f"由 {remark.source}", f"by {remark.source}"), lang)
    reason = f" ({remark.reason})" if remark.reason else ""
    return f"{words.pick(label, lang)} {by}{reason}"


# --- usage ---


def usage_table(report: UsageReport) -> RenderableType:
    """What was used, free beside paid, with totals; a free row has no price, not a price of zero."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0), show_footer=True)
    table.add_column("账户 Account", "合计 Total", overflow="fold")
    table.add_column("服务项目 Item", no_wrap=True)
    table.add_column("免费 Free", words.quantity(report.free_quantity, "zh"), justify="right", no_wrap=True)
    table.add_column("收费 Paid", words.quantity(report.paid_quantity, "zh"), justify="right", no_wrap=True)
    table.add_column("单价 Price", justify="right", no_wrap=True)
    waived = words.money(report.waived_minor, report.currency, "zh")
    table.add_column("减免 Waived", waived, justify="right", no_wrap=True)
    total = words.money(report.amount_minor, report.currency, "zh")
    table.add_column("金额 Amount", total, justify="right", no_wrap=True)
    table.add_column("价目 Tariff", overflow="fold")
    for row in report.rows:
        table.add_row(*_usage_row(row))
    return table


def _usage_row(row: UsageRow) -> Iterable[Text]:
    free, paid = row.item_class == "government", row.tariff is not None
    count = words.quantity(row.quantity, "zh")
    yield _text(row.account)
    yield _text(row.item)
    yield _text(count if free else "–", "green")
    yield _text(count if paid else "–", "magenta")
    yield _text("–" if row.price_minor is None else words.money(row.price_minor, row.currency, "zh"))
    for minor in (row.waived_minor, row.amount_minor):
        yield _text("–" if row.price_minor is None else words.money(minor, row.currency, "zh"))
    yield _text(row.tariff or ("" if free else f"未计费 not charged ({count})"), "dim")


# --- text ---


def _text(text: str, style: str = "") -> Text:
    return Text(_clean(text), style=style)


def _clean(text: str) -> str:
    """Without control characters and bidirectional or zero-width marks."""
    return "".join(letter for letter in text if letter == "\n" or unicodedata.category(letter) not in {"Cc", "Cf"})
