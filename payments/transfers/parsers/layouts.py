"""The tables we read; a new bank is one module and one line here."""

from . import ccb, cmb

LAYOUTS = (ccb.LAYOUT, cmb.LAYOUT)
