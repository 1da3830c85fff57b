"""Adapters to the outside world of money: no tables, one small protocol each."""
