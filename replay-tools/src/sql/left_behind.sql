-- Ends what a restore that was killed has left at work here, and waits until it has ended: whoever runs this holds the lock
-- that the tool behind it would hold if it lived.
SELECT pg_terminate_backend(pid, 30000)
FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'annals-replay restoring %' AND pid <> pg_backend_pid()
