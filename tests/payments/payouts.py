"""What tests of our bank client ask of it."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from payments.channels import transfer
from payments.channels.transfer import Bank
from tests.sandbox_fixtures import Sandbox

PARENT = "755912345610801"


def pay_out(client: Bank, out_no: str = "R1", **changes: Any) -> transfer.PayoutResult:
    order = {
        "account_no": PARENT,
        "to_account": "6222020200112233",
        "to_name": "王小明",
        "amount_fen": 1230,
        "remark": "退款 R1",
    }
    return client.pay_out(out_no=out_no, **{**order, **changes})


def bookings(sandbox: Sandbox) -> int:
    """Bookings of the account today, counted in the bank's own statement."""
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    file = sandbox.statement(PARENT, today, "ccb_csv").decode("gb18030")
    return len(file.splitlines()) - 1
