from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_paid_in_place")]
    operations = [
        migrations.AddField(
            model_name="order",
            name="held_until",
            field=models.DateTimeField(
                blank=True,
                help_text="付款期限已过，等最后一天的银行流水",
                null=True,
                verbose_name="暂缓关闭到",
            ),
        ),
    ]
