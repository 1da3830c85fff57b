"""Bills of days that are over: a zip of GBK files with GBK names, of the sandbox's own doings."""

import io
import re
import secrets
import zipfile
from datetime import date, datetime, timedelta

from tests.sandbox.alipay import account_bill, trade_bill, wire
from tests.sandbox.alipay.payouts import Payouts
from tests.sandbox.alipay.trades import Trades
from tests.sandbox.alipay.wire import ACCOUNT, Biz, Failed, Inner
from tests.sandbox.journal import SHANGHAI
from tests.sandbox.web import Answer, Request

URL_SECONDS = 30
KINDS = ("trade", "signcustomer")


class Bills:
    """业务明细 (trade) and 账务明细 (signcustomer); an address lives 30 seconds."""

    def __init__(self, trades: Trades, payouts: Payouts) -> None:
        self._trades = trades
        self._payouts = payouts
        self.clear()

    def clear(self) -> None:
        self._addresses: dict[str, tuple[str, date, date, float]] = {}

    def url(self, biz: Biz, common: Biz) -> Inner:
        kind = wire.word(biz, "bill_type")
        if kind not in KINDS:
            raise Failed("isp.INVALID_ARGUMENTS", f"沙箱只有这些账单：{'、'.join(KINDS)}")
        first, end = _days(wire.word(biz, "bill_date"))
        today = datetime.fromtimestamp(self._trades.now(), SHANGHAI).date()
        if end > today or not self._files(kind, first, end):
            raise Failed("isp.bill_not_exist", "账单不存在")
        token = secrets.token_hex(16)
        self._addresses[token] = (kind, first, end, self._trades.now() + URL_SECONDS)
        return {"bill_download_url": f"{common['base']}/alipay/bill?fileId={token}"}

    def download(self, request: Request) -> Answer:
        kind, first, end, until = self._addresses.get(
            request.query.get("fileId", ""), ("", date.min, date.min, 0)
        )
        if self._trades.now() >= until:
            return Answer(404, "下载链接已失效".encode(), "text/plain; charset=utf-8")
        day = f"{first:%Y%m%d}" if end - first == timedelta(days=1) else f"{first:%Y%m}"
        files = self._files(kind, first, end)
        content = zipped({f"{ACCOUNT}_{day}_{name}.csv": files[name] for name in files})
        name = {"Content-Disposition": f'attachment; filename="{ACCOUNT}_{day}.csv.zip"'}
        return Answer(200, content, "application/zip", name)

    def _files(self, kind: str, first: date, end: date) -> dict[str, str]:
        """Contents by the last part of their names; none when nothing moved on these days."""
        trades, now = list(self._trades.trades.values()), self._trades.now()
        begins, ends = _at(first), _at(end)
        if kind == "trade":
            of_all = sorted(trade_bill.lines(trades), key=lambda one: (one[0], bool(one[1][1])))
            lines = [line for at, line in of_all if begins <= at < ends]
            return trade_bill.files(first, end, lines, now) if lines else {}
        whole = account_bill.entries(trades, self._payouts.moves)
        entries = [entry for entry in whole if begins <= entry.at < ends]
        return account_bill.files(first, end, entries, now) if entries else {}


class _Gbk(zipfile.ZipInfo):
    """A member whose name is GBK, without the flag that would say UTF-8, as Alipay writes it."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the library's own name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def _at(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).timestamp()


def _days(said: str) -> tuple[date, date]:
    """[first, end) of `yyyy-MM-dd` or `yyyy-MM`."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}", said, re.ASCII):
            first = date.fromisoformat(f"{said}-01")
            return first, (first + timedelta(days=31)).replace(day=1)
        first = date.fromisoformat(said if len(said) == 10 else "")
    except ValueError:
        raise Failed("isp.INVALID_ARGUMENTS", "bill_date 须为 yyyy-MM-dd 或 yyyy-MM") from None
    return first, first + timedelta(days=1)


def zipped(files: dict[str, str]) -> bytes:
    """As Alipay packs them: contents and names in GBK."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            member = _Gbk(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content.encode("gbk", "replace"))
    return out.getvalue()
