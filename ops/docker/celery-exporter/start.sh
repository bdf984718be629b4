#!/bin/sh
# Starts the exporter of Celery's events, with the password of Redis out of a file.
set -eu
password=$(cat "${REDIS_PASSWORD_FILE:-/run/secrets/redis_password}")
scheme=${REDIS_SCHEME:-redis}
# By TLS it would take anybody's certificate.
[ "$scheme" = rediss ] && query='?ssl_cert_reqs=required' || query=
export CE_BROKER_URL="$scheme://:$password@${REDIS_ADDRESS:-redis:6379}/0$query"
exec /opt/exporter/bin/python -c 'from src.cli import cli; cli(auto_envvar_prefix="CE")' \
    --port=9808 --retry-interval=5 --queues=anomaly,llm,maintenance
