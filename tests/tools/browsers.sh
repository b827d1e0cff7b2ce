#!/bin/sh
# Install Chromium and ChromeDriver by apt, where they are missing and we may.
set -eu

missing=
if ! command -v chromium >/dev/null 2>&1; then
    missing=" chromium"
fi
if ! command -v chromedriver >/dev/null 2>&1; then
    missing="$missing chromium-driver"
fi
if [ -z "$missing" ]; then
    exit 0
fi

by_hand="the browser tests need them: install$missing, then run make test again."
if ! command -v apt-get >/dev/null 2>&1; then
    echo "warning: no apt-get here; $by_hand" >&2
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "warning: neither root nor sudo; $by_hand" >&2
    exit 0
fi

# $as_root and $missing are lists of words.
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
