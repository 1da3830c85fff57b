"""What the database refuses whoever asks: changed books, postings that do not balance.

A posting balances when its legs add up to zero; legs are never zero, so there are at least two.
Checking each posting by itself costs more than writing it, so each INSERT is checked as a whole:
legs that balance among themselves keep every posting balanced, whatever came before.  What a
statement leaves open (a posting without legs, legs that do not balance yet) goes on the list
`payments_unbalanced`, and a deferred constraint trigger looks at it again when the transaction
commits.  TRUNCATE is not refused: only tests do it.
"""

from django.db import migrations

from config.kit.append_only import append_only, never_deleted

APPEND_ONLY = ["payments_posting", "payments_entry", "payments_paymentevent", "payments_lineevent"]

NEVER_DELETED = [
    "payments_payment",
    "payments_receivingaccount",
    "payments_statement",
    "payments_statementline",
]

FUNCTIONS = """
CREATE TABLE payments_unbalanced (posting_id bigint NOT NULL);

CREATE FUNCTION payments_note_open_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO payments_unbalanced (posting_id)
    SELECT posting_id FROM added GROUP BY posting_id HAVING sum(amount_fen) <> 0;
    RETURN NULL;
END $$;

-- The plan is kept from the first call, when the table may be empty: it must use the index.
CREATE FUNCTION payments_note_empty_postings() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO payments_unbalanced (posting_id)
    SELECT id FROM added
    WHERE (SELECT e.id FROM payments_entry e WHERE e.posting_id = added.id LIMIT 1) IS NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION payments_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    legs bigint;
    total numeric;
BEGIN
    SELECT count(*), coalesce(sum(amount_fen), 0) INTO legs, total
    FROM payments_entry WHERE posting_id = NEW.posting_id;
    IF legs < 2 OR total <> 0 THEN
        RAISE EXCEPTION 'posting % has % legs that add up to %', NEW.posting_id, legs, total
            USING ERRCODE = 'check_violation', TABLE = 'payments_posting',
                  CONSTRAINT = 'posting_adds_up_to_zero';
    END IF;
    DELETE FROM payments_unbalanced WHERE posting_id = NEW.posting_id;
    RETURN NULL;
END $$;

CREATE TRIGGER entry_added AFTER INSERT ON payments_entry
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION payments_note_open_entries();
CREATE TRIGGER posting_added AFTER INSERT ON payments_posting
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION payments_note_empty_postings();
CREATE CONSTRAINT TRIGGER posting_adds_up_to_zero AFTER INSERT ON payments_unbalanced
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payments_must_balance();
"""
NO_FUNCTIONS = """
DROP TRIGGER posting_added ON payments_posting;
DROP TRIGGER entry_added ON payments_entry;
DROP TABLE payments_unbalanced;
DROP FUNCTION payments_must_balance();
DROP FUNCTION payments_note_empty_postings();
DROP FUNCTION payments_note_open_entries();
"""


# Bookings of a file wait here until all of it is known to be sound.  Not logged: after a crash of
# the database it is empty, and the file is read again from its parts.
STAGE = """
CREATE UNLOGGED TABLE payments_stagedline (
    batch text NOT NULL,
    n integer NOT NULL,
    key text NOT NULL,
    booked_at timestamptz NOT NULL,
    amount_fen bigint NOT NULL,
    balance_fen bigint,
    is_reversal boolean NOT NULL,
    serial text NOT NULL,
    currency text NOT NULL,
    payer_name text NOT NULL,
    payer_account text NOT NULL,
    payer_bank text NOT NULL,
    remark text NOT NULL,
    texts text NOT NULL,
    virtual_account text NOT NULL,
    reverses text NOT NULL,
    caution text NOT NULL,
    PRIMARY KEY (batch, n)
)
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial"), ("kit", "0002_append_only")]
    operations = [
        migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
        migrations.RunSQL(STAGE, "DROP TABLE payments_stagedline"),
        *(append_only(table) for table in APPEND_ONLY),
        *(never_deleted(table) for table in NEVER_DELETED),
        # A file pays thousands of neighbours at once: each page has room to write all its rows
        # anew, in place, without touching an index.
        migrations.RunSQL(
            "ALTER TABLE payments_payment SET (fillfactor = 50)",
            "ALTER TABLE payments_payment RESET (fillfactor)",
        ),
    ]
