"""The tables we read; a new bank is a module in `banks` and a line here."""

from collections.abc import Iterable, Mapping, Sequence

from . import column_map
from .banks import abc, boc, ccb, cmb, icbc, others
from .layout import Layout, Places, placed

LAYOUTS = (
    ccb.CORPORATE,
    cmb.CORPORATE,
    icbc.CORPORATE,
    boc.CORPORATE,
    abc.CORPORATE,
    others.CMBC_CORPORATE,
    others.CITIC_CORPORATE,
    others.PINGAN_CORPORATE,
    others.TREASURY,
    ccb.PERSONAL,
    ccb.PERSONAL_OLD,
    cmb.PERSONAL,
    icbc.PERSONAL,
    boc.PERSONAL,
    abc.PERSONAL,
    others.BOCOM_PERSONAL,
    others.SPDB_PERSONAL,
    others.HSBC_HONG_KONG,
    cmb.CREDIT_CARD,
    icbc.CREDIT_CARD,
    boc.CREDIT_CARD,
    others.CITIC_CARD,
    others.CGB_CARD,
)


def wanted(columns: Mapping[str, str] | None) -> Sequence[Layout]:
    """All that we know, or only the one that a map of columns describes."""
    return (column_map.layout(columns),) if columns else LAYOUTS


def recognised(header: Sequence[str], among: Iterable[Layout]) -> tuple[Layout, Places] | None:
    """The layout with this header line, and the columns of its roles."""
    if len(header) < 3:
        return None
    places = placed(header)
    return next(((one, at) for one in among if (at := one.find(places))), None)
