"""The bank's statement files: one day of one parent account, as four kinds of banks write it.

Pure functions from bookings to bytes; the tests and the bench use them without a server.
Layouts: CCB corporate CSV, CMB U-Bank xlsx, SWIFT MT940 with structured :86:, ISO 20022
camt.053.001.08.  Where the virtual account stands in each is our own convention.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from xml.sax.saxutils import escape

BANK = "沙箱银行深圳分行"
HOLDER = "私域商城有限公司"


@dataclass(frozen=True)
class Booking:
    """One movement on a parent account; `amount_fen` is positive, `direction` C in or D out.

    The `payer_…` fields are the other side, so the payee of a debit.
    """

    serial: str
    booked_at: datetime
    amount_fen: int
    direction: str
    payer_name: str
    payer_account: str = ""
    payer_bank: str = ""
    remark: str = ""
    virtual_account: str | None = None
    reverses: str | None = None

    @property
    def signed_fen(self) -> int:
        return self.amount_fen if self.direction == "C" else -self.amount_fen

    @property
    def kind(self) -> str:
        if self.reverses:
            return "冲正"
        return "转账存入" if self.direction == "C" else "转账支取"


def render(
    format: str, account: str, day: date, opening_fen: int, bookings: Sequence[Booking]
) -> bytes:
    """The statement file of that day: `ccb_csv`, `cmb_xlsx`, `mt940` or `camt053`."""
    return FORMATS[format].write(account, day, opening_fen, bookings)


def _yuan(fen: int) -> str:
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def _thousands(fen: int) -> str:
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def _running(opening_fen: int, bookings: Sequence[Booking]) -> Iterator[tuple[Booking, int]]:
    balance = opening_fen
    for booking in bookings:
        balance += booking.signed_fen
        yield booking, balance


def _names(header: str) -> list[str]:
    return header.split(",")


# --- CCB corporate CSV --------------------------------------------------------------------------

CCB_HEADER = _names(
    "账号,账户名称,交易时间,借方发生额（支取）,贷方发生额（收入）,余额,币种,对方户名,对方账号,对方开户机构,记账日期,摘要,备注,账户明细编号-交易流水号,企业流水号,"
    "凭证种类,凭证号"
)


def _ccb_csv(account: str, day: date, opening_fen: int, bookings: Sequence[Booking]) -> bytes:
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(CCB_HEADER)
    for booking, balance in _running(opening_fen, bookings):
        incoming = booking.direction == "C"
        lines.writerow(
            [
                booking.virtual_account or account,
                HOLDER,
                f"{booking.booked_at:%Y%m%d %H:%M:%S}",
                "0.00" if incoming else _yuan(booking.amount_fen),
                _yuan(booking.amount_fen) if incoming else "0.00",
                _yuan(balance),
                "人民币元",
                booking.payer_name,
                booking.payer_account,
                booking.payer_bank,
                f"{booking.booked_at:%Y%m%d}",
                booking.kind,
                booking.remark,
                booking.serial,
                "",
                "",
                "",
            ]
        )
    return out.getvalue().encode("gb18030")


# --- CMB U-Bank xlsx ----------------------------------------------------------------------------

CMB_HEADER = _names(
    "交易日,交易时间,起息日,交易类型,借方金额,贷方金额,余额,摘要,流水号,流程实例号,业务名称,用途,业务参考号,业务摘要,其它摘要,收/付方分行名,收/付方名称,"
    "收/付方帐号,收/付方开户行行号,收/付方开户行名,收/付方开户行地址,母/子公司帐号分行名,母/子公司帐号,母/子公司名称,信息标志,有否附件信息,冲帐标志,扩展摘要,"
    "交易分析码,票据号,商务支付订单号,内部编号"
)

_XLSX = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package'
    '.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override '
    'PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument'
    '/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet '
    'name="账务明细" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/'
    '2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/office'
    'Document/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
# The dimension is false on purpose: real bank exports say A1 too, and some readers believe it.
_SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<dimension ref="A1"/><sheetData>'
)


def _cmb_xlsx(account: str, day: date, opening_fen: int, bookings: Sequence[Booking]) -> bytes:
    # Written by hand: openpyxl needs many seconds for 20,000 rows of 32 columns.
    rows = [_SHEET]
    lead = _cmb_lead(account, day, opening_fen, bookings)
    for number, cells in enumerate([*lead, CMB_HEADER], 1):
        rows.append(_xlsx_row(number, cells))
    for number, (booking, balance) in enumerate(_running(opening_fen, bookings), len(lead) + 2):
        rows.append(_xlsx_row(number, _cmb_cells(booking, balance)))
    rows.append("</sheetData></worksheet>")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        for name, text in [*_XLSX.items(), ("xl/worksheets/sheet1.xml", "".join(rows))]:
            # The same bookings are the same file, whenever it is asked for.
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            book.writestr(member, _XML + text, compresslevel=1)
    return out.getvalue()


def _cmb_lead(
    account: str, day: date, opening_fen: int, bookings: Sequence[Booking]
) -> list[list[str]]:
    """Twelve rows above the header, so the header's index is 12."""
    paid_in = [booking.amount_fen for booking in bookings if booking.direction == "C"]
    paid_out = [booking.amount_fen for booking in bookings if booking.direction == "D"]
    return [
        ["招商银行企业银行账务明细"],
        ["帐号", account],
        ["户名", HOLDER],
        ["开户行", BANK],
        ["币种", "人民币"],
        ["起始日期", f"{day:%Y%m%d}", "截止日期", f"{day:%Y%m%d}"],
        ["期初余额", _thousands(opening_fen)],
        ["借方笔数", str(len(paid_out)), "借方金额", _thousands(sum(paid_out))],
        ["贷方笔数", str(len(paid_in)), "贷方金额", _thousands(sum(paid_in))],
        ["期末余额", _thousands(opening_fen + sum(paid_in) - sum(paid_out))],
        ["查询条件", "全部"],
        [],
    ]


def _cmb_cells(booking: Booking, balance: int) -> list[str]:
    incoming = booking.direction == "C"
    filled = {
        "交易日": f"{booking.booked_at:%Y%m%d}",
        "交易时间": f"{booking.booked_at:%H%M%S}",
        "起息日": f"{booking.booked_at:%Y%m%d}",
        "交易类型": booking.kind,
        "借方金额": "" if incoming else _thousands(booking.amount_fen),
        "贷方金额": _thousands(booking.amount_fen) if incoming else "",
        "余额": _thousands(balance),
        "摘要": booking.remark,
        "流水号": booking.serial,
        "收/付方名称": booking.payer_name,
        "收/付方帐号": booking.payer_account,
        "收/付方开户行名": booking.payer_bank,
        "母/子公司帐号": booking.virtual_account or "",
        "冲帐标志": "Y" if booking.reverses else "",
    }
    return [filled.get(column, "") for column in CMB_HEADER]


def _xlsx_row(number: int, cells: Sequence[str]) -> str:
    texts = [
        f'<c r="{_COLUMNS[at]}{number}" t="inlineStr"><is><t xml:space="preserve">'
        f"{escape(cell)}</t></is></c>"
        for at, cell in enumerate(cells)
        if cell
    ]
    return f'<row r="{number}">{"".join(texts)}</row>'


_COLUMNS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "AC", "AD", "AE", "AF"]


# --- MT940 --------------------------------------------------------------------------------------


def _mt940(account: str, day: date, opening_fen: int, bookings: Sequence[Booking]) -> bytes:
    closing = opening_fen + sum(booking.signed_fen for booking in bookings)
    lines = [
        f":20:SBX{day:%y%m%d}0001",
        f":25:{account}",
        f":28C:{day:%j}/1",
        f":60F:{_mt940_balance(day - timedelta(days=1), opening_fen)}",
    ]
    for booking in bookings:
        lines.append(f":61:{_mt940_entry(booking)}")
        lines += _cut(f":86:{_mt940_details(booking, account)}", 65)
    lines += [f":62F:{_mt940_balance(day, closing)}", "-", ""]
    return "\r\n".join(lines).encode()


def _mt940_balance(day: date, fen: int) -> str:
    return f"{'D' if fen < 0 else 'C'}{day:%y%m%d}CNY{_comma(abs(fen))}"


def _mt940_entry(booking: Booking) -> str:
    # RC takes an earlier credit back, so it is money out; RD gives a debit back, money in.
    mark = {"C": "RD", "D": "RC"}[booking.direction] if booking.reverses else booking.direction
    at = booking.booked_at
    return f"{at:%y%m%d}{at:%m%d}{mark}{_comma(booking.amount_fen)}NTRFNONREF//{booking.serial}"


def _mt940_details(booking: Booking, account: str) -> str:
    code = "166" if booking.direction == "C" else "117"
    fields = [f"{code}?00{booking.kind}?10{booking.serial[-6:]}"]
    remark = _cut(_plain(booking.remark), 27)[:10] if booking.remark else []
    fields += [f"?{20 + at}{part}" for at, part in enumerate(remark)]
    names = _cut(_plain(booking.payer_name), 27)[:2]
    fields += [f"?30{_plain(booking.payer_bank)}?31{_plain(booking.payer_account)}"]
    fields += [f"?{32 + at}{part}" for at, part in enumerate(names)]
    fields += [f"?60VA{booking.virtual_account}" if booking.virtual_account else ""]
    return "".join(fields)


def _plain(text: str) -> str:
    """`?` opens a subfield in :86:, so the bank prints the wide one instead."""
    return " ".join(text.replace("?", "？").split())


def _cut(text: str, width: int) -> list[str]:
    """Lines of at most `width` signs, none of which begins or ends so that a reader could lose it.

    A line must not begin with `:` or `-` (a tag, the end of the message), and a blank at an edge
    would be stripped.
    """
    lines = []
    while len(text) > width:
        at = width
        while at > 1 and (text[at] in ":- " or text[at - 1] == " "):
            at -= 1
        lines.append(text[:at])
        text = text[at:]
    return [*lines, text]


def _comma(fen: int) -> str:
    return f"{fen // 100},{fen % 100:02d}"


# --- CAMT.053 -----------------------------------------------------------------------------------


def _camt053(account: str, day: date, opening_fen: int, bookings: Sequence[Booking]) -> bytes:
    closing = opening_fen + sum(booking.signed_fen for booking in bookings)
    made = f"{day + timedelta(days=1):%Y-%m-%d}T00:30:00+08:00"
    entries = "".join([_camt_entry(booking, account) for booking in bookings])
    return (
        f'{_XML}<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>\n'
        f"<GrpHdr><MsgId>SBX{day:%Y%m%d}</MsgId><CreDtTm>{made}</CreDtTm></GrpHdr>\n"
        f"<Stmt><Id>SBX{day:%Y%m%d}-{account}</Id><ElctrncSeqNb>{day:%j}</ElctrncSeqNb>"
        f"<CreDtTm>{made}</CreDtTm><FrToDt><FrDtTm>{day}T00:00:00+08:00</FrDtTm>"
        f"<ToDtTm>{day}T23:59:59+08:00</ToDtTm></FrToDt>\n"
        f"<Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>CNY</Ccy><Nm>{HOLDER}</Nm></Acct>\n"
        f"{_camt_balance('OPBD', day, opening_fen)}{_camt_balance('CLBD', day, closing)}"
        f"{entries}</Stmt></BkToCstmrStmt></Document>\n"
    ).encode()


def _camt_balance(kind: str, day: date, fen: int) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="CNY">{_yuan(abs(fen))}</Amt>'
        f"<CdtDbtInd>{'DBIT' if fen < 0 else 'CRDT'}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>\n"
    )


def _camt_entry(booking: Booking, account: str) -> str:
    amount = f'<Amt Ccy="CNY">{_yuan(booking.amount_fen)}</Amt>'
    side = "CRDT" if booking.direction == "C" else "DBIT"
    reversal = "<RvslInd>true</RvslInd>" if booking.reverses else ""
    family = "RCDT" if booking.direction == "C" else "ICDT"
    agent = "DbtrAgt" if _payer_is_other(booking) else "CdtrAgt"
    bank = (
        f"<RltdAgts><{agent}><FinInstnId><Nm>{escape(booking.payer_bank)}</Nm></FinInstnId>"
        f"</{agent}></RltdAgts>"
        if booking.payer_bank
        else ""
    )
    remark = f"<RmtInf><Ustrd>{escape(booking.remark)}</Ustrd></RmtInf>" if booking.remark else ""
    return (
        f"<Ntry>{amount}<CdtDbtInd>{side}</CdtDbtInd>{reversal}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><DtTm>{booking.booked_at:%Y-%m-%dT%H:%M:%S}+08:00</DtTm></BookgDt>"
        f"<ValDt><Dt>{booking.booked_at:%Y-%m-%d}</Dt></ValDt>"
        f"<AcctSvcrRef>{booking.serial}</AcctSvcrRef>"
        f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>{family}</Cd><SubFmlyCd>DMCT</SubFmlyCd></Fmly>"
        f"</Domn></BkTxCd><NtryDtls><TxDtls><Refs><AcctSvcrRef>{booking.serial}</AcctSvcrRef>"
        f"<EndToEndId>NOTPROVIDED</EndToEndId></Refs>{amount}<CdtDbtInd>{side}</CdtDbtInd>"
        f"{_camt_parties(booking, account)}{bank}{remark}</TxDtls></NtryDtls></Ntry>\n"
    )


def _payer_is_other(booking: Booking) -> bool:
    """A reversal keeps the parties of the payment that it takes back."""
    return (booking.direction == "C") != bool(booking.reverses)


def _camt_parties(booking: Booking, account: str) -> str:
    other = _camt_party("Dbtr" if _payer_is_other(booking) else "Cdtr", booking.payer_name)
    ours = booking.virtual_account or account
    if _payer_is_other(booking):
        debtor, creditor = booking.payer_account, ours
    else:
        debtor, creditor = ours, booking.payer_account
    paying, receiving = _camt_account("DbtrAcct", debtor), _camt_account("CdtrAcct", creditor)
    parts = [other, paying, receiving] if _payer_is_other(booking) else [paying, other, receiving]
    return f"<RltdPties>{''.join(parts)}</RltdPties>"


def _camt_party(tag: str, name: str) -> str:
    return f"<{tag}><Pty><Nm>{escape(name)}</Nm></Pty></{tag}>" if name else ""


def _camt_account(tag: str, number: str) -> str:
    if not number:
        return ""
    return f"<{tag}><Id><Othr><Id>{escape(number)}</Id></Othr></Id></{tag}>"


# --- the four -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    write: Callable[[str, date, int, Sequence[Booking]], bytes]
    suffix: str
    content_type: str


FORMATS = {
    "ccb_csv": Format(_ccb_csv, "csv", "text/csv; charset=gb18030"),
    "cmb_xlsx": Format(
        _cmb_xlsx, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    ),
    "mt940": Format(_mt940, "sta", "text/plain; charset=utf-8"),
    "camt053": Format(_camt053, "xml", "application/xml"),
}
