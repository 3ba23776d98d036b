-- Each of these org units with all that are below it, at any depth.
WITH RECURSIVE below (unit, org_id) AS (
    SELECT parent, org_id FROM {table} WHERE parent = ANY ($1::uuid[])
    UNION
    SELECT b.unit, o.org_id FROM {table} o JOIN below b ON o.parent = b.org_id
)
SELECT unit, org_id FROM below
