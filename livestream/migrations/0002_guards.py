"""Events are only ever added to."""

from django.db import migrations

from config.kit.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("livestream", "0001_initial"), ("kit", "0002_append_only")]
    operations = [append_only("livestream_roomevent")]
