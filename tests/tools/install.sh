#!/bin/sh
# Install the programs that the tests run, by apt, where they are missing and we may.
# No service is started: the tests start what they need themselves.
set -eu

# Where Debian keeps what is not for every user's PATH.
PATH="$PATH:/usr/sbin:/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"

missing=
while read -r program package; do
    if ! command -v "$program" >/dev/null 2>&1; then
        missing="$missing $package"
    fi
done <<END
chromium chromium
chromedriver chromium-driver
firefox-esr firefox-esr
nginx nginx-light
squid squid
haproxy haproxy
apache2 apache2
caddy caddy
initdb postgresql
openssl openssl
redis-server redis-server
cc gcc libc6-dev
END
# Debian has Valkey from 13 on; its tests are skipped where it is not.
lacks_valkey() {
    ! command -v valkey-server >/dev/null 2>&1 && apt-cache show valkey-server >/dev/null 2>&1
}
if [ -z "$missing" ] && ! lacks_valkey; then
    exit 0
fi

# Without Valkey nothing fails.
by_hand() {
    if [ -n "$missing" ]; then
        echo "warning: $1; the tests need them: install$missing, then run make test again." >&2
    fi
    exit 0
}
if ! command -v apt-get >/dev/null 2>&1; then
    by_hand "no apt-get here"
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    by_hand "neither root nor sudo"
fi

# Asked before a package starts its service; 101 is no (deb-systemd-invoke(1p), invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
# $as_root and $missing are lists of words.
# shellcheck disable=SC2086
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
if lacks_valkey; then
    missing="$missing valkey-server"
fi
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
