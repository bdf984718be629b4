#!/bin/sh
# Makes the secrets of the composition in a folder, ./secrets by default; those that are there stay.  Needs a shell only.
#
# Each container sees the files that it needs, as itself: so the files may be read by all, and the folder by its owner.
set -eu
folder=${1:-secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() {
    # Letters and digits, so that no program that reads one has to quote it.
    LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c "$1"
}

keep() {
    if [ ! -s "$folder/$1" ]; then
        # Without the end of a line: in a cluster somebody may take the file as it is.
        printf %s "$2" >"$folder/$1"
        chmod 444 "$folder/$1"
        echo "made $folder/$1"
    fi
}

for name in postgres_password database_password reporting_password redis_password admin_password grafana_password; do
    keep "$name" "$(random 32)"
done
keep jwt_secret "$(random 64)"
keep source_key "sns_$(random 43)"
# The form in which its exporter takes it.
keep redis_exporter_passwords "{\"redis://redis:6379\": \"$(cat "$folder/redis_password")\"}"

# For the profile `tls`: put a certificate of your own in their place.
if [ ! -s "$folder/tls_key" ] && command -v openssl >/dev/null; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=sensus" \
        -addext "subjectAltName=DNS:sensus,DNS:localhost,IP:127.0.0.1" \
        -keyout "$folder/tls_key" -out "$folder/tls_certificate" 2>/dev/null
    chmod 444 "$folder/tls_key" "$folder/tls_certificate"
    echo "made $folder/tls_certificate, signed by itself"
fi
