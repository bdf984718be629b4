#!/bin/sh
# Runs once, when the database is made: the application owns its database and is no superuser, and the role that
# exporters and dashboards use can only look.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set database_password="$(cat /run/secrets/database_password)" \
    --set reporting_password="$(cat /run/secrets/reporting_password)" <<'SQL'
CREATE ROLE sensus LOGIN PASSWORD :'database_password';
CREATE DATABASE sensus OWNER sensus;
CREATE ROLE sensus_reporting LOGIN PASSWORD :'reporting_password' CONNECTION LIMIT 10;
ALTER ROLE sensus_reporting SET statement_timeout = '15s';
ALTER ROLE sensus_reporting SET default_transaction_read_only = on;
GRANT pg_monitor TO sensus_reporting;
GRANT CONNECT ON DATABASE sensus TO sensus_reporting;
SQL
