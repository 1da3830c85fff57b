"""Events are only ever added to (the function is payments', which stands below)."""

from django.db import migrations


def append_only(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION payments_append_only()",
        f"DROP TRIGGER {table}_append_only ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("members", "0001_initial"), ("payments", "0002_guards")]
    operations = [append_only("members_membershipevent"), append_only("members_bondevent")]
