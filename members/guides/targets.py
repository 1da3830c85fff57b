"""What share codes may open: by kind, a module with `resolve` (settings.SHARE_TARGETS).

The goods and the live rooms stand above this folder, so they are known by dotted name only.
"""

from importlib import import_module
from typing import Any, Protocol, cast

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from config.kit.errors import NotFound
from config.kit.viewer import Viewer
from members.merchants.rules import Target


class Shareable(Protocol):
    @staticmethod
    def resolve(public_id: str, viewer: Viewer | None) -> Target:
        """What the viewer would see there; NotFound for unknown and for private to others."""


def resolve(kind: str, public_id: str, viewer: Viewer | None) -> Target:
    """NotFound also for a kind that nobody answers for."""
    path = settings.SHARE_TARGETS.get(kind)
    if path is None:
        raise NotFound
    return cast(Shareable, import_module(path)).resolve(public_id, viewer)


@register()
def targets_answer(**_: Any) -> list[CheckMessage]:
    """`manage.py check` fails at once when the wiring in settings is wrong."""
    return [
        Error(f"SHARE_TARGETS[{kind!r}]: {path}.resolve is missing", id="members.E001")
        for kind, path in settings.SHARE_TARGETS.items()
        if not hasattr(import_module(path), "resolve")
    ]
