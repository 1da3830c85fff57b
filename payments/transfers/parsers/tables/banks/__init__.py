"""One module per bank: header names as the bank prints them, from statements.md §2.2 and §2.3."""
