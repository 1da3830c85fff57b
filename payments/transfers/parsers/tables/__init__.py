"""Banks' tables: where they come from, what their columns mean, and their rows."""
