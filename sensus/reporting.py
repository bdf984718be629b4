"""As whom do dashboards read?  A role that sees the views of the schema `reporting`, few at a time."""

from __future__ import annotations

ROLE = "sensus_reporting"
SCHEMA = "reporting"
# What it may see is a matter of grants. These keep a dashboard from taking what ingest needs; a session may change its
# own time limit, but not how many sessions there are.
CONNECTIONS = 10
STATEMENT_TIMEOUT = "15s"

# Each on one line; all may be run again.
_IS_THERE = f"EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}')"
STATEMENTS = (
    f"DO $$ BEGIN IF NOT {_IS_THERE} THEN CREATE ROLE {ROLE}; END IF; END $$",
    f"ALTER ROLE {ROLE} LOGIN CONNECTION LIMIT {CONNECTIONS}",
    f"ALTER ROLE {ROLE} SET statement_timeout = '{STATEMENT_TIMEOUT}'",
    f"ALTER ROLE {ROLE} SET default_transaction_read_only = on",
)
