"""The words of a title, made by the database: imports and bulk writes cannot forget them.

`shop.catalog.rules.words` makes the same words of what a buyer types.  To change the rule, add a
function under a new name and rewrite the column.
"""

from django.db import migrations

CREATE = r"""
CREATE FUNCTION shop_words(title text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT word ORDER BY word), '{}') FROM (
        SELECT m[1] AS word FROM regexp_matches(lower(title), '[a-z0-9]+', 'g') AS m
        UNION ALL
        SELECT substr(run.signs[1], at, size)
        FROM regexp_matches(lower(title), '[\u3400-\u9fff]+', 'g') AS run (signs),
             LATERAL generate_series(1, length(run.signs[1])) AS at,
             (VALUES (1), (2)) AS sizes (size)
        WHERE at + size - 1 <= length(run.signs[1])
    ) AS words
$$
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION shop_words(text)")]
