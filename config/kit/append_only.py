"""Tables that are only ever added to: the database refuses to change or delete their rows."""

from django.db import migrations


def append_only(table: str) -> migrations.RunSQL:
    """For a migration that depends on kit 0002_append_only.  TRUNCATE stays: only tests do it."""
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION kit_append_only()",
        f"DROP TRIGGER {table}_append_only ON {table}",
    )


def never_deleted(table: str) -> migrations.RunSQL:
    """For a table whose rows change but stay; others may name them without looking them up."""
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_never_deleted BEFORE DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION kit_append_only()",
        f"DROP TRIGGER {table}_never_deleted ON {table}",
    )
