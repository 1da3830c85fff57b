"""As payments/0020: events are only added to, and are vacuumed by the million."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0006_wechat_shipping")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE shop_orderevent SET (autovacuum_vacuum_insert_threshold = 1000000)",
            "ALTER TABLE shop_orderevent RESET (autovacuum_vacuum_insert_threshold)",
        )
    ]
