"""A table that no bank module knows, described by a person: role → header text."""

from collections.abc import Mapping

from payments.transfers.parsers import cells
from payments.transfers.parsers.refusals import BadColumns

from .layout import Layout

ROLES = frozenset(
    {"day", "clock", "in", "out", "amount", "direction", "balance", "currency", "serial", "kind"}
    | {"name", "payer_account", "payer_bank", "account", "reversal"}
)
REMARK = "remark"  # and remark2, remark3, …: every column the payer's words may be in


def layout(columns: Mapping[str, str]) -> Layout:
    """Every column named must be there; raises BadColumns where they do not say who paid what."""
    remarks = tuple(sorted(role for role in columns if role.startswith(REMARK)))
    if unknown := set(columns) - ROLES - set(remarks):
        raise BadColumns(f"没有这样的列角色：{'、'.join(sorted(unknown))}")
    names = {role: cells.name(title) for role, title in columns.items()}
    if "" in names.values():
        raise BadColumns("列名不能为空")
    if twice := {name for name in names.values() if list(names.values()).count(name) > 1}:
        raise BadColumns(f"同一列用作两种含义：{'、'.join(sorted(twice))}")
    if "day" not in columns:
        raise BadColumns("没有指定日期列")
    pair, single = {"in", "out"} & set(columns), "amount" in columns
    if single == bool(pair) or len(pair) == 1:
        raise BadColumns("金额要么是收入与支出两列，要么只有一列")
    return Layout(
        bank="columns",
        columns={role: (name,) for role, name in names.items()},
        texts=(*remarks, "kind"),
        bank_words="kind",
        names_itself=False,
    )
