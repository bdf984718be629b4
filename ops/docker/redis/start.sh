#!/bin/sh
# Starts Redis with the password of its secret, which so stands in no list of processes, no environment and no file.
set -eu
password=$(cat /run/secrets/redis_password)
# Redis in place of this shell, without a pipe between: it must get the signal to stop, and save, itself.
exec redis-server - <<CONF
$(cat /etc/redis/redis.conf)
requirepass "$password"
CONF
