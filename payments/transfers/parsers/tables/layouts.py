"""The tables we read; a new bank is a module in `banks` and a line here."""

from collections.abc import Iterable, Mapping, Sequence

from . import column_map
from .banks import abc, boc, ccb, cmb, icbc, others
from .layout import Layout, Places, placed

LAYOUTS = (
    ccb.CORPORATE,
    ccb.CORPORATE_OTHER,
    cmb.CORPORATE,
    icbc.CORPORATE,
    icbc.CORPORATE_ONE_COLUMN,
    icbc.CORPORATE_BY_DAY,
    boc.CORPORATE,
    abc.CORPORATE,
    others.BOCOM_CORPORATE,
    others.SPDB_CORPORATE,
    others.SPDB_CORPORATE_SHORT,
    others.CMBC_CORPORATE,
    others.CMBC_CORPORATE_NEW,
    others.CITIC_CORPORATE,
    others.CGB_CORPORATE,
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
    others.CMBC_PERSONAL,
    others.CITIC_PERSONAL,
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
