"""Alipay: a gateway, a cashier, notifications, bills and payouts, with real RSA2.

    app_id 2021000000000001 · seller_id 2088000000000001
    keys in the home: alipay_app_private.pem and alipay_public.pem are the shop's to hold

Gateway   GET|POST /alipay/gateway.do, method=
  alipay.trade.precreate · .wap.pay (a page) · .query · .close · .cancel · .refund
  alipay.trade.fastpay.refund.query
  alipay.data.dataservice.bill.downloadurl.query (bill_type trade, signcustomer)
  alipay.fund.trans.uni.transfer · alipay.fund.trans.common.query
Buyers    GET /alipay/qr?code= is what a QR code holds · POST /alipay/cashier {token} pays
Bills     GET /alipay/bill?fileId=

Control   POST /__sandbox__/alipay/…
  scan    {out_trade_no}                 a buyer scans the newest code: the trade begins
  pay     {out_trade_no, amount_fen?}    and pays; `amount_fen`: another amount, in truth and
                                         in every later answer, notification and bill
  finish  {out_trade_no}                 the refund window is over: TRADE_FINISHED
  payout  {out_biz_no, status}           SUCCESS, FAIL or REFUND for what was DEALING; REFUND
                                         for what was SUCCESS
  notify  {out_trade_no, fields?, unsigned?, without?, key?, charset?, url?}
                                         one more notification, of the trade as it is: `fields`
                                         replaced and signed (notify_id too: a replay), `unsigned`
                                         added after the signature, names left out; `key`:
                                         other_key, bad_signature, sha1; `charset`: gbk
  faults  {kind, …}                      see faults.py
  GET trades · GET payouts · GET notifies ({waiting: {now, later}, tried})
"""
