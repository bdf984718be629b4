#!/bin/sh
# Whether Redis answers, with its data loaded.
REDISCLI_AUTH=$(cat /run/secrets/redis_password) redis-cli ping | grep -q '^PONG$'
