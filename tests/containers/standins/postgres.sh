#!/bin/sh
# What the official entrypoint does for a user that is not root: a new database from POSTGRES_*, then its scripts on a server
# that listens on its socket only, then the server.
set -eu
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    # shellcheck disable=SC2086  # several arguments, as the official one takes them
    initdb --username="${POSTGRES_USER:-postgres}" --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-}
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export PGPASSWORD
    pg_ctl --wait start -o "-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        PGHOST=/var/run/postgresql "$script"
    done
    pg_ctl --wait --mode=fast stop
    unset PGPASSWORD
fi
exec "$@" --listen_addresses='*' --unix_socket_directories=/var/run/postgresql
