"""WeChat Pay, APIv3, for one merchant: payments, refunds, bills, transfers to people.

    from tests.sandbox.wechat_pay import WeChatPay

Signatures, sealing and keys are real; the money is not.  What it knows is in the sandbox's journal.
The shop's keys are DIR/wechat_pay_*.pem and *.txt (keys.py), its 商户号 is keys.MCHID.

People pay through the page, tests through POST /__sandbox__/wechat-pay/…
  pay       {prepay_id | out_trade_no | request_payment, openid?, amount_fen?}
  refund    {out_refund_no, state}               SUCCESS, ABNORMAL or CLOSED
  transfer  {out_bill_no, state, fail_reason?}   SUCCESS, FAIL, TRANSFERING, …
  regime    {regime}                             certificate, public_key or public_key_only
  switch    {kind, times?, seconds?, on?}        switches.py has the kinds
  GET trades (what it knows) · GET notices (deliveries tried)
"""

from tests.sandbox.wechat_pay.gateway import WeChatPay

__all__ = ["WeChatPay"]
