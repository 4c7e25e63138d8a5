-- read_contiguous_end: the last of up to 10,000 positions that follow a floor without a hole,
-- null when the very next one is missing.
-- Locks: none that writers notice.
-- Index: the primary key, forwards.
SELECT max(numbered.position)
FROM (
    SELECT page.position, row_number() OVER (ORDER BY page.position) AS number
    FROM (
        SELECT e.position
        FROM whizbang_event e
        WHERE e.position > %(floor)s
        ORDER BY e.position
        LIMIT 10000
    ) AS page
) AS numbered
WHERE numbered.position = %(floor)s + numbered.number
