"""The live process: WebSocket and nothing else; the API is `config.wsgi`.

    uvicorn config.asgi:application --ws websockets-sansio --ws-max-size 4096
        --ws-per-message-deflate false --no-server-header --no-access-log

Deflate costs two thirds of the fan-out; a viewer has nothing long to say.
"""

import logging
import os

import django

from config import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.ensure()
django.setup()

from config.kit.calm import settled  # noqa: E402
from livestream.room import Room  # noqa: E402  its tables need Django

# uvicorn would log each socket's URL, and there may be a token in it.
_log = logging.getLogger("uvicorn.error")
_log.setLevel(logging.WARNING)
# It calls every handshake that we refuse an unfinished one, and an error.
_log.addFilter(lambda record: "without completing handshake" not in record.msg)

application = Room()
settled()
