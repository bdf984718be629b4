#!/bin/sh
# Starts Redis with the password of its secret, which so stands in no list of processes and no environment.
set -eu
password=$(cat /run/secrets/redis_password)
{ cat /etc/redis/redis.conf; printf '\nrequirepass "%s"\n' "$password"; } | exec redis-server -
