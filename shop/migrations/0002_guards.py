"""Events are only ever added to; orders stay."""

from django.db import migrations

from config.kit.append_only import append_only, never_deleted


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial"), ("kit", "0002_append_only")]
    operations = [
        append_only("shop_orderevent"),
        append_only("shop_stockevent"),
        never_deleted("shop_order"),
        # A paid order is written anew: beside itself, not on a page that nobody has touched.
        migrations.RunSQL(
            "ALTER TABLE shop_order SET (fillfactor = 50)",
            "ALTER TABLE shop_order RESET (fillfactor)",
        ),
    ]
