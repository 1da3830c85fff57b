"""Tables that are only added to are vacuumed by the million, not by the fifth.

A vacuum of them frees nothing: it marks pages as visible and frozen.  By the default (1,000 rows
and a fifth) a growing shop has each of them read once more every few weeks, and a young one several
times during one large import.
"""

from django.db import migrations

TABLES = (
    "payments_statementline",
    "payments_allocation",
    "payments_receipt",
    "payments_paymentevent",
)


class Migration(migrations.Migration):
    dependencies = [("payments", "0019_wallet")]
    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_insert_threshold = 1000000)",
            f"ALTER TABLE {table} RESET (autovacuum_vacuum_insert_threshold)",
        )
        for table in TABLES
    ]
