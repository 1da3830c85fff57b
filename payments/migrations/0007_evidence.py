"""Payments that wait and have had a part of their money, and statements that are told again.

An index of payments by what is outstanding would have to be written whenever money comes, and each
payment moved (no index of theirs mentions what confirming changes).  Parts are rare: a list of
their own is kept by triggers, whoever changes the payment.
"""

from django.db import migrations, models

PART_PAID = """
CREATE TABLE payments_partpaid (payment_id bigint PRIMARY KEY, left_fen bigint NOT NULL);
CREATE INDEX part_paid_by_left ON payments_partpaid (left_fen);

INSERT INTO payments_partpaid
SELECT id, amount_fen - received_fen FROM payments_payment
WHERE status = 'WAITING' AND received_fen > 0;

CREATE FUNCTION payments_note_part_paid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO payments_partpaid VALUES (NEW.id, NEW.amount_fen - NEW.received_fen)
    ON CONFLICT (payment_id) DO UPDATE SET left_fen = excluded.left_fen;
    RETURN NULL;
END $$;

CREATE FUNCTION payments_forget_part_paid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM payments_partpaid WHERE payment_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER payment_paid_in_part AFTER UPDATE ON payments_payment
    FOR EACH ROW WHEN (
        NEW.status = 'WAITING' AND NEW.received_fen > 0
        AND (OLD.status <> 'WAITING' OR OLD.received_fen <> NEW.received_fen)
    ) EXECUTE FUNCTION payments_note_part_paid();
CREATE TRIGGER payment_no_longer_in_part AFTER UPDATE ON payments_payment
    FOR EACH ROW WHEN (
        OLD.status = 'WAITING' AND OLD.received_fen > 0
        AND (NEW.status <> 'WAITING' OR NEW.received_fen = 0)
    ) EXECUTE FUNCTION payments_forget_part_paid();
"""
NO_PART_PAID = """
DROP TRIGGER payment_no_longer_in_part ON payments_payment;
DROP TRIGGER payment_paid_in_part ON payments_payment;
DROP FUNCTION payments_forget_part_paid();
DROP FUNCTION payments_note_part_paid();
DROP TABLE payments_partpaid;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0006_receiving")]
    operations = [
        migrations.RunSQL(PART_PAID, NO_PART_PAID),
        migrations.AddField(
            "statement",
            "confirmed_at",
            models.DateTimeField(
                "再次取得", null=True, blank=True, help_text="银行最近一次又给出完全相同的文件"
            ),
        ),
    ]
