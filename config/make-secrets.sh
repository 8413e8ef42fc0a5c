#!/bin/sh
# The secrets of docker-compose.yml, made once: for the brokers (uid 1000) a key-encryption key and the URL of
# the ledger, for PostgreSQL (uid 999 in its image) the password in it. Each file is its owner's alone.
set -eu
umask 077
broker=${1:-/secrets/broker} postgres=${2:-/secrets/postgres}
broker_user=${3:-1000:1000} postgres_user=${4:-999:999}

random() { node -p "require('node:crypto').randomBytes(32).toString('hex')"; }

if [ ! -e "$postgres/password" ]; then
  random > "$postgres/password.new"
  mv "$postgres/password.new" "$postgres/password"
fi
if [ ! -e "$broker/kek" ]; then
  random > "$broker/kek.new"
  mv "$broker/kek.new" "$broker/kek"
fi
if [ ! -e "$broker/ledger-url" ]; then
  # The network `ledger` has nobody else on it; across any other one leave sslmode away, and TLS is verified.
  echo "postgres://mayfly:$(cat "$postgres/password")@postgres:5432/mayfly?sslmode=disable" > "$broker/ledger-url.new"
  mv "$broker/ledger-url.new" "$broker/ledger-url"
fi
chown "$broker_user" "$broker/kek" "$broker/ledger-url"
chown "$postgres_user" "$postgres/password"
