"""The outside world as one process: WeChat, a bank and Alipay, speaking their protocols over HTTP.

    python -m tests.sandbox --port 8090 --home DIR --shop-url http://127.0.0.1:8000

Standard library, `cryptography` and `segno` only; no Django and nothing of ours, so that it can
disagree with us.  What it must remember over a restart (accounts, bookings, trades, payouts,
users) is in DIR/journal.jsonl, its keys and the shop's in DIR/*.pem.

WeChat    POST /cgi-bin/stable_token · GET /sns/jscode2session · POST /wxa/getwxacodeunlimit
          POST /cgi-bin/message/subscribe/send
Bank      POST /bank/units · POST /bank/units/limits · POST|GET /bank/payouts · GET /bank/files
          (all signed both ways) · POST /bank/transfers · GET /bank/statements (what people click)
          and a signed push of every booking to SHOP/api/v1/hooks/bank/sandbox
Alipay    GET|POST /alipay/gateway.do, a cashier, bills, notifications: see alipay/__init__.py
People    GET / is a small mobile bank

Control   POST /__sandbox__/…
  code       {name}                              a fresh login code, single use, 5 minutes
  user       {name, blocked?}                    make a person; `blocked` answers 40226
  credit     {openid, template_id, credits}      accepted subscription prompts
  account    {account_no, name?, opening_fen?}   open a parent account at the bank
  reverse    {serial}                            the bank takes a credit back
  faults     {path, kind, times?, seconds?, errcode?}   see faults.py
  shop       {url}                               where pushes go; "" means nowhere
  clock      {seconds}                           move the clock on; signatures keep the real time
  reset      {}                                  forget everything but the keys
  alipay/…                                       see alipay/__init__.py
  GET journal (requests seen) · GET pushes (deliveries tried)
"""
