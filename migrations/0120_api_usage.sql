-- How much the clients of the API call, by month (UTC): nodes count and add up here now and then. It is no part of the log.
CREATE TABLE annals.api_usage (
    client uuid NOT NULL,
    month text NOT NULL,
    used bigint NOT NULL,
    last_used timestamptz NOT NULL,
    PRIMARY KEY (client, month)
);
