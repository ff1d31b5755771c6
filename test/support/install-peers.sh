#!/bin/sh
# The mail servers that test/smtp/real-peers.test.ts speaks to, from Debian's packages. Run as root after
# `apt-get update`.
#
# Debian allows one mail server on a machine. Postfix is installed; of the others only the files are taken, into
# /var/cache/sendstate-peers, and the tests run them in a root directory of their own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=/var/cache/sendstate-peers

# The packages' own services are not wanted: the tests start what they need on ports of their own. This is how Debian is
# told that nothing may be started; a machine that has its own rule, a container for instance, keeps it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

# shellcheck disable=SC2046 # one package a line is the point
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(cat "$here/debian-packages.txt")

mkdir -p "$cache"
cd "$cache"
while read -r package; do
  [ -d "$package" ] && continue
  rm -f "$package"_*.deb
  apt-get download "$package"
  dpkg-deb -x "$package"_*.deb "$package.partial"
  mv "$package.partial" "$package"
done <"$here/debian-packages-extracted.txt"
