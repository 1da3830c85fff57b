"""WeChat Pay 来账识别: bank transfers that came to a merchant's account, as JSON.

The answer of `GET /v3/merchantfund/merchant/income-records` (fields as the public SDKs
WxJava and gopay declare them), or an array of its pages in order:

    {"data": [{"mchid", "account_type", "income_record_type", "income_record_id",
               "amount": fen, "success_time": RFC 3339, "bank_name", "bank_account_name",
               "bank_account_number": "****6473", "recharge_remark"}],
     "links": {"next", "prev", "self"}, "offset", "limit", "total_count"}

A service provider's answer says sub_mchid.  The three bank_… fields may be empty or absent.  One
call is one day and at most some hundred records, so an answer is held whole.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, NoReturn

from payments.transfers.parsers import cells, held, text
from payments.transfers.parsers.refusals import BadCell, CountsDiffer, DamagedFile
from payments.transfers.parsers.statement import (
    UNKNOWN,
    Declared,
    Known,
    Row,
    Stream,
    Summary,
    begun,
)
from payments.transfers.parsers.sums import watched

MAX_ANSWER = 8 * 1024 * 1024  # bytes; JSON needs many times its size once it is parsed
MAX_FEN = 10**15

_KINDS = frozenset({"OFFLINERECHARGE", "ENTERPRISEDIRECTREVENUE"})
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:Z|[+-]\d{2}:\d{2})", re.ASCII
)
_OPENS = re.compile(rb"\s*[\[{]")


def recognises(head: bytes) -> bool:
    """JSON with the name only these records have, or an answer that says it has none."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    if not _OPENS.match(head):
        return False
    return b'"income_record_id"' in head or (b'"data"' in head and b'"total_count"' in head)


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """Every record is a credit of the account `mchid`; raises FileTooLarge, DamagedFile, BadCell.

    CountsDiffer when the pages are fewer than `total_count` says.
    """
    records, total = _records(_parsed(held.content(source, MAX_ANSWER)))
    summary = Summary(declared=Declared(count=total, credits=total))
    return begun(Stream("wechat_income", None, watched(_rows(records, summary), summary), summary))


def _parsed(content: bytes) -> Any:
    document = text.decode(content)
    try:
        return json.loads(
            document.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        raise DamagedFile("JSON 不完整或已损坏") from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DamagedFile("JSON 里同一个对象有重名的键")
    return found


def _refuse(number: str) -> NoReturn:
    raise BadCell(f"JSON 里的数“{number[:40]}”不是整数：金额应以分为单位", column="amount")


def _records(document: Any) -> tuple[list[Any], int]:
    """The records of all pages, which must follow one another up to `total_count`."""
    pages = document if isinstance(document, list) else [document]
    records: list[Any] = []
    total: int | None = None
    for page in pages:
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):
            raise DamagedFile("不是来账记录的应答：没有 data 数组")
        said, offset = page.get("total_count"), page.get("offset", len(records))
        if type(said) is not int or total not in {None, said}:
            raise DamagedFile("应答没有 total_count，或各页不一致")
        if offset != len(records):
            raise DamagedFile(f"来账记录缺页：第 {len(records) + 1} 笔之后接的是 {offset}")
        total = said
        records += page["data"]
    if total is None or total != len(records):
        raise CountsDiffer(
            f"文件声明总笔数为 {total}，实际为 {len(records)}：请把各页按顺序放进同一个数组",
            figure="total_count",
        )
    return records, total


def _rows(records: Sequence[Any], summary: Summary) -> Iterator[Row]:
    for position, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise DamagedFile(f"第 {position} 笔不是对象", row=position)
        row = _row(record, position)
        if summary.accounts not in {(), (row.account_no,)}:
            raise DamagedFile(
                f"第 {position} 笔的商户号与第一笔不同，请按商户分别导入", row=position
            )
        summary.accounts = (row.account_no,)
        yield row


def _row(record: Mapping[str, Any], position: int) -> Row:
    def said(name: str) -> str:
        value = record.get(name)
        if value is not None and not isinstance(value, str):
            raise _wrong(position, name, value, "不是文字")
        # JSON can escape what no text can hold: half a surrogate pair, NUL.
        if value and value.encode("utf-8", "ignore").replace(b"\0", b"") != value.encode(
            "utf-8", "surrogatepass"
        ):
            raise _wrong(position, name, value.encode("ascii", "ignore").decode(), "含有非法字符")
        return value or ""

    serial, kind = said("income_record_id"), said("income_record_type")
    account = said("mchid") or said("sub_mchid")
    for name, value in (("income_record_id", serial), ("mchid", account)):
        if not value.strip():
            raise _wrong(position, name, value, "为空")
    remark = said("recharge_remark")
    return Row(
        serial=serial,
        booked_at=_moment(said("success_time"), position),
        amount_fen=_fen(record.get("amount"), position),
        currency="CNY",
        balance_fen=None,
        payer_name=said("bank_account_name").strip(),
        payer_account=said("bank_account_number").strip(),
        payer_bank=said("bank_name").strip(),
        remark=remark.strip(),
        texts=(remark,) if remark.strip() else (),
        virtual_account=None,
        is_reversal=False,
        reverses=None,
        position=position,
        account_no=account,
        caution="" if kind in _KINDS else f"未知的来账类型 {kind[:40]}，请人工核对",
    )


def _fen(amount: Any, position: int) -> int:
    if type(amount) is not int or not 0 < amount < MAX_FEN:
        raise _wrong(position, "amount", amount, "不是大于 0 的整数（分）")
    return amount


def _moment(said: str, position: int) -> datetime:
    try:
        if not _MOMENT.fullmatch(said):
            raise ValueError(said)
        return cells.plausible(datetime.fromisoformat(said))
    except ValueError:
        raise _wrong(position, "success_time", said, "不是带时区的时间") from None


def _wrong(position: int, name: str, value: object, reason: str) -> BadCell:
    return BadCell(
        f"第 {position} 笔的 {name}“{str(value)[:40]}”{reason}", row=position, column=name
    )
