-- Where a person may occur: in the envelope, in the stream of their keys, or in the record of who saw or was given something,
-- of a hold or of a replay. The text is looked
-- through, not the JSON: that is many times quicker, and whoever reads the event sees whether it is really so.
SELECT position
FROM annals.events
WHERE position > $1 AND position <= $2
  AND (
      strpos(metadata::text, $3) > 0
      OR (aggregate_type = 'governance.subject_key' AND aggregate_id = $3)
      OR (
          (
              aggregate_type IN ('governance.disclosure', 'governance.legal_hold', 'governance.audit_replay')
              OR event_type = 'AccessLogged'
          )
          AND strpos(payload::text, $3) > 0
      )
  )
ORDER BY position
