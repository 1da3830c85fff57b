"""Lines that a person ignored leave suspense (decisions/0024); uploads close missing days.

What 0007_evidence made, a list kept by triggers, is a model from now on.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

# What lines that were ignored before hold in suspense, with a note on each.  Twice is once: only
# lines that have nothing set aside, and one posting each.
SET_ASIDE = """
INSERT INTO payments_account (code, is_guarded, balance_fen)
SELECT DISTINCT 'set_aside:' || a.account_no, false, 0
FROM payments_statementline l JOIN payments_receivingaccount a ON a.id = l.receiving_account_id
WHERE l.verdict = 'IGNORED' AND l.is_posted AND l.set_aside_fen = 0
ON CONFLICT (code) DO NOTHING;

WITH held AS (
    SELECT l.id, a.account_no, l.amount_fen - l.allocated_fen - l.returned_fen AS fen,
           l.number || CASE WHEN e.times > 1 THEN '-' || e.times ELSE '' END AS reference
    FROM payments_statementline l
    JOIN payments_receivingaccount a ON a.id = l.receiving_account_id
    JOIN LATERAL (
        SELECT count(*) AS times FROM payments_lineevent e
        WHERE e.line_id = l.id AND e.kind = 'IGNORED'
    ) e ON true
    WHERE l.verdict = 'IGNORED' AND l.is_posted AND l.set_aside_fen = 0
), posted AS (
    INSERT INTO payments_posting (kind, reference, at)
    SELECT 'SET_ASIDE', reference, now() FROM held
    RETURNING id, reference
), legs AS (
    INSERT INTO payments_entry (posting_id, account_id, amount_fen)
    SELECT p.id, a.id, leg.fen
    FROM posted p JOIN held h USING (reference)
    CROSS JOIN LATERAL (VALUES
        ('suspense:' || h.account_no, h.fen), ('set_aside:' || h.account_no, -h.fen)
    ) AS leg (code, fen)
    JOIN payments_account a ON a.code = leg.code
), told AS (
    INSERT INTO payments_lineevent (line_id, kind, actor, at, facts)
    SELECT id, 'NOTE', '', now(), jsonb_build_object(
        'text', '系统升级：不处理的 ' || to_char(fen / 100.0, 'FM999999999990.00')
                || ' 元由待核销来账转到“不处理来账”')
    FROM held
)
UPDATE payments_statementline l SET set_aside_fen = held.fen FROM held WHERE l.id = held.id;

SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""
# Postings are not taken back by a migration: undo the lines first.
NOT_SET_ASIDE = """
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM payments_statementline WHERE set_aside_fen > 0) THEN
        RAISE EXCEPTION 'lines are set aside: undo them (desk.undo) before going back';
    END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0008_sources"),
    ]

    operations = [
        migrations.AddField(
            model_name="statementline",
            name="set_aside_fen",
            field=models.PositiveBigIntegerField(
                db_default=0,
                default=0,
                help_text="由人认定不是买家的钱，已转出待核销来账科目",
                verbose_name="不处理(分)",
            ),
        ),
        migrations.RunSQL(SET_ASIDE, NOT_SET_ASIDE),
        migrations.RemoveConstraint(
            model_name="statementline",
            name="line_never_spends_more_than_came",
        ),
        migrations.AddConstraint(
            model_name="statementline",
            constraint=models.CheckConstraint(
                condition=Q(is_posted=False, allocated_fen=0, returned_fen=0, set_aside_fen=0)
                | Q(amount_fen__gte=F("allocated_fen") + F("returned_fen") + F("set_aside_fen")),
                name="line_never_spends_more_than_came",
            ),
        ),
        migrations.AddConstraint(
            model_name="statementline",
            constraint=models.CheckConstraint(
                condition=Q(
                    verdict="IGNORED",
                    is_posted=True,
                    set_aside_fen__gt=0,
                    amount_fen=F("allocated_fen") + F("returned_fen") + F("set_aside_fen"),
                )
                | Q(~Q(verdict="IGNORED", is_posted=True), set_aside_fen=0),
                name="line_ignored_is_set_aside",
            ),
        ),
        migrations.AddField(
            model_name="missingday",
            name="statement",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="由人上传的",
                max_length=24,
                verbose_name="补上的流水文件",
            ),
        ),
        migrations.AddField(
            model_name="missingday",
            name="closed_by",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="用户编号；从银行取到的为空",
                max_length=24,
                verbose_name="上传人",
            ),
        ),
        migrations.AlterField(
            model_name="missingday",
            name="fetched_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="补齐时间"),
        ),
        migrations.AddConstraint(
            model_name="missingday",
            constraint=models.CheckConstraint(
                condition=Q(statement="", closed_by="")
                | Q(fetched_at__isnull=False) & ~Q(statement="") & ~Q(closed_by=""),
                name="missing_day_closed_by_a_person_with_a_file",
            ),
        ),
        migrations.RemoveField(
            model_name="refund",
            name="bounces",
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="PartPaid",
                    fields=[
                        (
                            "payment",
                            models.OneToOneField(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                primary_key=True,
                                related_name="+",
                                serialize=False,
                                to="payments.payment",
                            ),
                        ),
                        ("left_fen", models.BigIntegerField(verbose_name="还差(分)")),
                    ],
                    options={
                        "verbose_name": "部分付款",
                        "verbose_name_plural": "部分付款",
                        "indexes": [models.Index(models.F("left_fen"), name="part_paid_by_left")],
                    },
                ),
            ],
        ),
    ]
