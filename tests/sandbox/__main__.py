"""python -m tests.sandbox --port N --home DIR --shop-url URL"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from threading import Thread

from tests.sandbox.alipay.notify import DELAYS as ALIPAY_DELAYS
from tests.sandbox.push import DELAYS
from tests.sandbox.server import Server, World
from tests.sandbox.wechat import APPID, SECRET
from tests.sandbox.wechat_pay.notices import DELAYS as WECHAT_PAY_DELAYS


def main() -> None:
    options = _options()
    world = World(
        options.home,
        shop_url=options.shop_url.rstrip("/"),
        appid=options.appid,
        secret=options.secret,
        push_delays=[float(part) for part in options.push_delays.split(",")],
        wechat_pay_delays=[float(part) for part in options.wechat_pay_delays.split(",")],
        alipay_delays=[float(part) for part in options.alipay_delays.split(",")],
    )
    try:
        server = Server(options.host, options.port, world)
    except OSError as error:
        sys.exit(f"sandbox: port {options.port} on {options.host}: {error.strerror}")

    def stop(*_: object) -> None:
        # shutdown() waits for the loop that this signal has interrupted, so not from here.
        Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if options.die_with_parent:
        Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    world.start()
    host, port = server.server_address[:2]
    sys.stdout.write(f"sandbox ready on http://{host!s}:{port}\n")
    sys.stdout.flush()
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()
        world.stop()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--home", type=Path, required=True, help="keys and journal")
    parser.add_argument("--shop-url", default="", help="pushes go to its hook; none without")
    parser.add_argument("--appid", default=APPID)
    parser.add_argument("--secret", default=SECRET)
    parser.add_argument("--push-delays", default=",".join(map(str, DELAYS)), help="seconds")
    parser.add_argument(
        "--wechat-pay-delays", default=",".join(map(str, WECHAT_PAY_DELAYS)), help="seconds"
    )
    parser.add_argument(
        "--alipay-delays", default=",".join(map(str, ALIPAY_DELAYS)), help="seconds"
    )
    parser.add_argument("--die-with-parent", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
