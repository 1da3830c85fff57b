"""The outside world as one process: WeChat, WeChat Pay, Alipay, a bank and a carrier, over HTTP.

    python -m tests.sandbox --port 8090 --home DIR --shop-url http://127.0.0.1:8000

Standard library, `cryptography` and `segno` only; no Django and nothing of ours, so that it can
disagree with us.  What it must remember over a restart (accounts, bookings, trades, payouts,
users) is in DIR/journal.jsonl, its keys and the shop's in DIR/*.pem.

WeChat    POST /cgi-bin/stable_token · GET /sns/jscode2session · POST /wxa/getwxacodeunlimit
          POST /cgi-bin/message/subscribe/send
          POST /wxa/sec/order/{upload_shipping_info|get_order|notify_confirm_receive|…}
          POST /cgi-bin/express/delivery/open_msg/get_delivery_list         (shipping.py)
          and sealed pushes of what becomes of an order to SHOP/api/v1/hooks/wechat
Bank      POST /bank/units · POST /bank/units/limits · POST|GET /bank/payouts · GET /bank/files
          (all signed both ways) · POST /bank/transfers · GET /bank/statements (what people click)
          and a signed push of every booking to SHOP/api/v1/hooks/bank/sandbox
Carrier   POST /carrier/batches · GET /carrier/balances · GET /carrier/movements   (carrier.py)
          (signed both ways, as the bank, with a key of its own)
WeChat Pay  (wechat_pay/; APIv3, signed both ways; notices go to the notify_url of each request)
          POST /v3/pay/transactions/jsapi · GET /v3/pay/transactions/{out-trade-no|id}/…
          POST /v3/pay/transactions/out-trade-no/…/close
          POST /v3/refund/domestic/refunds · GET …/{out_refund_no} · POST …/apply-abnormal-refund
          POST /v3/fund-app/mch-transfer/transfer-bills · GET …/out-bill-no/… · POST …/cancel
          GET /v3/bill/{tradebill|fundflowbill} · /v3/billdownload/file · /v3/certificates
Alipay    GET|POST /alipay/gateway.do, a cashier, bills, notifications: see alipay/__init__.py
People    GET / is a small mobile bank; what waits to be paid by WeChat Pay has a button there

Control   POST /__sandbox__/…
  code       {name}                              a fresh login code, single use, 5 minutes
  user       {name, blocked?}                    make a person; `blocked` answers 40226
  credit     {openid, template_id, credits}      accepted subscription prompts
  account    {account_no, name?, opening_fen?}   open a parent account at the bank
  reverse    {serial}                            the bank takes a credit back
  carrier    {lose?, bend_fen?, account?, off_fen?, page?}   what it has wrong, see carrier.py
  faults     {path, kind, times?, seconds?, errcode?}   see faults.py
  shop       {url}                               where pushes go; "" means nowhere
  clock      {seconds}                           move the clock on; signatures keep the real time
  reset      {}                                  forget everything but the keys
  wechat-pay/{pay|refund|transfer|fill|rotate|retire|regime|switch}
  GET wechat-pay/{trades|notices}
  alipay/…                                       see alipay/__init__.py
  shipping/{confirm|settle|remind|push|verify|ingest|managed} · GET shipping/{orders|pushes}
  GET journal (requests seen) · GET pushes (deliveries tried)
  GET waiting (how much of all that is to be told, by whomever, is not told yet)
"""
