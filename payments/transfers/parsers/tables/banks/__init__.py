"""One module per bank: its tables' header names as the bank prints them."""
