-- A security key has one holder: its credential is claimed. What was registered before that was so is claimed now, as a fold
-- of the events claims it; where one credential has two holders, the first of them.
INSERT INTO annals.claims (key, seat, holder_type, holder_id)
SELECT DISTINCT ON (key)
    'webauthn:' || encode(sha256(convert_to(registered.credential, 'UTF8')), 'hex') AS key,
    '',
    registered.aggregate_type,
    registered.aggregate_id
FROM (
    SELECT
        position, aggregate_type, aggregate_id, sequence,
        payload -> 'WebAuthnCredentialRegistered' ->> 'credential_id' AS credential
    FROM annals.events
    WHERE aggregate_type = 'identity.account' AND event_type = 'WebAuthnCredentialRegistered'
) AS registered
WHERE NOT EXISTS (
    SELECT FROM annals.events AS later
    WHERE later.aggregate_type = registered.aggregate_type
        AND later.aggregate_id = registered.aggregate_id
        AND later.sequence > registered.sequence
        AND (
            later.event_type = 'AccountErased'
            OR (
                later.event_type = 'WebAuthnCredentialRemoved'
                AND later.payload -> 'WebAuthnCredentialRemoved' ->> 'credential_id' = registered.credential
            )
        )
)
ORDER BY key, registered.position
ON CONFLICT (key, seat) DO NOTHING;
