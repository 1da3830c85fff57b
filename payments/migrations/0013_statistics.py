"""What the database need not look at while a file comes in.

Autovacuum took 14 seconds of a core in each minute of an import of 1,000,000 lines: 5 for rows that
wait in `payments_stagedline` and are gone a moment later, 3 for statistics of JSON that no query
ever asks about.
"""

from django.db import migrations

SAID = {
    "payments_statementline": ("texts", "reasons", "facts", "candidates"),
    "payments_lineevent": ("facts",),
    "payments_paymentevent": ("facts",),
}


def _statistics(target: int) -> list[str]:
    return [
        f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {target}"
        for table, columns in SAID.items()
        for column in columns
    ]


class Migration(migrations.Migration):
    dependencies = [("payments", "0012_rules")]
    operations = [
        migrations.RunSQL(_statistics(0), _statistics(-1)),
        # Swept once a million rows have gone, some 300 MB, whatever its size is meanwhile.
        migrations.RunSQL(
            "ALTER TABLE payments_stagedline SET ("
            " autovacuum_vacuum_threshold = 1000000, autovacuum_vacuum_scale_factor = 0,"
            " autovacuum_vacuum_insert_threshold = -1,"
            " autovacuum_analyze_threshold = 1000000, autovacuum_analyze_scale_factor = 0)",
            "ALTER TABLE payments_stagedline RESET ("
            " autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor,"
            " autovacuum_vacuum_insert_threshold,"
            " autovacuum_analyze_threshold, autovacuum_analyze_scale_factor)",
        ),
    ]
