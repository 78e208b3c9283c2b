#!/usr/bin/env bash
# Installs the database of countries where the server looks for it by itself: networks and countries, CC0.
#
#   DESTDIR=/tmp/image scripts/install-countries.sh
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/npm.sh
to=${DESTDIR:-}/usr/share/bramble/countries.mmdb
install -D -m 644 node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb "$to"
echo "Installed $to; a restart of the server reads it."
