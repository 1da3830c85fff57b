"""Lines around a table that say something about it: `期初余额：100.00`, or in two cells."""

import re
from collections.abc import Iterable, Sequence

from payments.transfers.parsers import cells
from payments.transfers.parsers.refusals import BadCell, DamagedFile
from payments.transfers.parsers.statement import Declared

_LABELS = {
    "account": "账号 查询账号 本方账号 账户账号 主账号 卡号",
    "opening_fen": "期初余额 上期余额 起始余额 承前余额 上日余额",
    "closing_fen": "期末余额 本期余额 结束余额",
    "count": "总笔数 记录数 交易笔数 交易总笔数 总交易笔数 合计笔数",
    "debits": "借方笔数 借方总笔数 借方发生总笔数 支出笔数 支出总笔数",
    "credits": "贷方笔数 贷方总笔数 贷方发生总笔数 收入笔数 收入总笔数",
    "debit_fen": "借方合计 借方总额 借方总金额 借方发生总额 借方金额 支出合计 支出总额 支出总金额",
    "credit_fen": "贷方合计 贷方总额 贷方总金额 贷方发生总额 贷方金额 收入合计 收入总额 收入总金额",
}
_ROLE = {label: role for role, names in _LABELS.items() for label in names.split()}


_ACCOUNT = re.compile(r"[0-9A-Za-z-]{4,40}", re.ASCII)
_MASKED = re.compile(r"[xX]{2}")


class Facts:
    """What the lines around the table say; the same thing said twice must be the same."""

    def __init__(self) -> None:
        self.account: str | None = None
        self.said: dict[str, int] = {}

    @property
    def opening_fen(self) -> int | None:
        return self.said.get("opening_fen")

    @property
    def closing_fen(self) -> int | None:
        return self.said.get("closing_fen")

    @property
    def count(self) -> int | None:
        return self.said.get("count")

    def declared(self) -> Declared:
        names = ("count", "credits", "credit_fen", "debits", "debit_fen")
        return Declared(**{name: self.said[name] for name in names if name in self.said})

    def take(self, rows: Iterable[Sequence[str]]) -> bool:
        """Note every label with its value; True when there was one."""
        taken = False
        for row in rows:
            for label, value in _pairs(row):
                role = _ROLE.get(cells.name(label))
                if role and value:
                    self._note(role, label, value)
                    taken = True
        return taken

    def _note(self, role: str, label: str, value: str) -> None:
        if role == "account":
            value = "".join(value.split())
            if not _ACCOUNT.fullmatch(value) or _MASKED.search(value):
                return  # it names nobody
            if self.account not in {None, value}:
                raise DamagedFile(f"文件先后声明了两个账号：{self.account}、{value}")
            self.account = value
            return
        try:
            figure = cells.fen(value.removesuffix("笔"))
        except ValueError:
            figure = None
        if figure is None:
            raise BadCell(
                f"「{cells.name(label)}」“{value[:40]}”不是数字", column=cells.name(label)
            )
        if not role.endswith("_fen"):
            figure //= 100
        if self.said.setdefault(role, figure) != figure:
            raise DamagedFile(f"文件先后声明了不同的「{cells.name(label)}」")


def _pairs(row: Sequence[str]) -> Iterable[tuple[str, str]]:
    """`label：value` in one cell, or a label and the next cell that is not empty."""
    filled = [text for cell in row if (text := cells.clean(cell))]
    for i, text in enumerate(filled):
        label, colon, value = text.replace("：", ":").partition(":")
        following = filled[i + 1] if i + 1 < len(filled) else ""
        yield label, cells.clean(value).strip("[]") if colon and value.strip() else following
