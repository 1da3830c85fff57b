"""A statement of the China Construction Bank (corporate CSV), written by PostgreSQL itself.

The layout is that of `tests.sandbox.statements`, which would need minutes for a million lines.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from django.db import connection

from tests.bench.filling import Batch
from tests.sandbox.statements import BANK, CCB_HEADER, HOLDER

DAY = "2026-11-20"

# Every order of `bench_goods` is paid; as chance has it, and not in the order of their placing.
_COPY = """
COPY (
    SELECT {columns} FROM (
        SELECT coalesce('{account_no}' || unit, '{account_no}') AS account,
               timestamp '{day}' + (k * 86399 / {lines}) * interval '1 second' AS at, fen,
               sum(fen) OVER (ORDER BY k) AS balance, k,
               CASE WHEN unit IS NULL THEN '货款 ' || code ELSE '货款' END AS remark
        FROM (SELECT *, row_number() OVER (ORDER BY hashint8(i), i) AS k FROM bench_goods) g
    ) booked ORDER BY k
) TO STDOUT (FORMAT csv, HEADER, ENCODING 'GB18030')
"""
_CELLS = {
    "账号": "account",
    "账户名称": f"'{HOLDER}'",
    "交易时间": "to_char(at, 'YYYYMMDD HH24:MI:SS')",
    "借方发生额（支取）": "'0.00'",
    "贷方发生额（收入）": "round(fen / 100.0, 2)",
    "余额": "round(balance / 100.0, 2)",
    "币种": "'人民币元'",
    "对方户名": "'王小明'",
    "对方账号": "'62220202' || lpad(k::text, 10, '0')",
    "对方开户机构": f"'{BANK}'",
    "记账日期": "to_char(at, 'YYYYMMDD')",
    "摘要": "'转账存入'",
    "备注": "remark",
    "账户明细编号-交易流水号": "'{number:04d}' || lpad(k::text, 10, '0')",
}


@contextmanager
def statement_of(batch: Batch) -> Iterator[BinaryIO]:
    """The file, open for reading; gone when the block ends."""
    columns = ", ".join(f'{_CELLS.get(name, "NULL")} AS "{name}"' for name in CCB_HEADER)
    asked = _COPY.format(
        columns=columns.format(number=batch.number),
        account_no=batch.account_no,
        lines=batch.lines,
        day=DAY,
    )
    with tempfile.TemporaryFile() as file:
        with connection.cursor() as cursor, cursor.copy(asked) as copy:
            for block in copy:
                file.write(block)
        file.seek(0)
        yield file
