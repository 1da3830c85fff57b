"""Who is looking.  The kit knows that there are roles and tenants, not which."""

from typing import Protocol, cast

from rest_framework.request import Request

PUBLIC = "PUBLIC"
SIGNED_IN = "SIGNED_IN"


class Viewer(Protocol):
    pk: int
    number: str

    @property
    def is_platform(self) -> bool: ...

    def has_role(self, role: str) -> bool: ...

    def tenants(self, role: str) -> frozenset[str] | None:
        """Public numbers of the tenants this person may act for in a role; None means all."""


def viewer(request: Request) -> Viewer:
    """The signed-in person; views guard by `View.access` first."""
    assert request.user.is_authenticated
    return cast(Viewer, request.user)
