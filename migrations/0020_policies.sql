-- Policies: where each stands in the log, what waits to be tried again, and the timers. None of it is rebuilt: a policy
-- never runs twice over the same history, and the ids of its commands are derived, so that a repeat changes nothing.

CREATE TABLE annals.policies (
    name        text PRIMARY KEY,
    position    bigint NOT NULL,
    incarnation uuid NOT NULL
);
COMMENT ON TABLE annals.policies IS 'How far each policy has reacted to the log.';

CREATE TABLE annals.policy_backlog (
    policy   text NOT NULL,
    position bigint NOT NULL,
    lane     uuid NOT NULL,
    attempts integer NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    due_at   timestamptz NOT NULL,
    parked   boolean NOT NULL DEFAULT false,
    reason   text NOT NULL,
    PRIMARY KEY (policy, position)
);
COMMENT ON TABLE annals.policy_backlog IS
    'Events whose reaction failed for a while. Later events of the same lane wait behind them; parked ones wait for an operator.';
CREATE INDEX policy_backlog_due ON annals.policy_backlog (due_at) WHERE NOT parked;

CREATE TABLE annals.timers (
    id             uuid PRIMARY KEY,
    due_at         timestamptz NOT NULL,
    policy         text NOT NULL,
    aggregate_id   uuid NOT NULL,
    command        json NOT NULL,
    causation_id   uuid NOT NULL,
    correlation_id uuid NOT NULL,
    attempts       integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE annals.timers IS 'Commands that are issued when their time comes, at least once, under their own id.';
CREATE INDEX timers_due ON annals.timers (due_at);
