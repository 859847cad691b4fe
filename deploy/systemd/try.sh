#!/bin/bash
# Types what docs/admin-guide.md says ("Install", "First start") on a fresh Debian under systemd, and then tries the
# service there: conversions inside of the sandbox of its unit, a kill, a drain, a stop, a configuration that cannot be
# used. Ends with "everything went well", or at the first thing that did not.
#
#   sudo apt-get install debootstrap systemd-container qemu-utils
#   sudo deploy/systemd/try.sh
#
# Takes five minutes and 2 GB below TMPDIR, and removes all of it. Needs Node 26 and npm on PATH.
# MIRROR: of Debian's packages; debootstrap's own where it is not set.
set -euo pipefail

SOURCE=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$(mktemp -d)
TREE=$WORK/tree
CONTAINER=
finish() {
  if [ -n "$CONTAINER" ]; then kill "$CONTAINER" && wait "$CONTAINER" || true; fi
  rm -rf --one-file-system "$WORK"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }

# The commands of the Nth block of a section of the guide.
block() {
  awk -v section="## $1" -v number="$2" '
    /^## / { inside = $0 == section; seen = 0 }
    inside && /^```/ { open = !open; seen += open; next }
    inside && open && seen == number' "$SOURCE/docs/admin-guide.md"
}

say "a fresh Debian"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates,curl,libatomic1,procps \
  bookworm "$TREE" ${MIRROR:+"$MIRROR"} > "$WORK/debootstrap.log" || { tail "$WORK/debootstrap.log"; exit 1; }
cp "$(node -p process.execPath)" "$TREE/usr/local/bin/node"
mkdir -p "$TREE/usr/local/lib/node_modules"
cp -r "$(dirname "$(readlink -f "$(command -v npm)")")/.." "$TREE/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$TREE/usr/local/bin/npm"
# How this machine reaches the registry of npm.
if [ -f ~/.npmrc ]; then cp ~/.npmrc "$TREE/root/.npmrc"; fi
if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then cp "$NODE_EXTRA_CA_CERTS" "$TREE/root/authorities.pem"; fi
mkdir "$TREE/root/diskmorph" "$TREE/root/images"
git -C "$SOURCE" archive HEAD | tar -x -C "$TREE/root/diskmorph"
for file in deploy docs; do cp -r "$SOURCE/$file" "$TREE/root/diskmorph"; done

say "images that are converted"
head -c 20M /dev/urandom > "$TREE/root/images/disk.raw"
truncate -s 200M "$TREE/root/images/disk.raw"
convert() { qemu-img convert -f raw -O "$1" "${@:3}" "$TREE/root/images/disk.raw" "$TREE/root/images/$2"; }
convert qcow2 zlib.qcow2 -c
convert qcow2 zstd.qcow2 -c -o compression_type=zstd
convert vmdk stream.vmdk -o subformat=streamOptimized
convert vhdx disk.vhdx

systemd-nspawn --quiet --directory="$TREE" --register=no --keep-unit --boot --console=pipe > "$WORK/console" 2>&1 < /dev/null &
CONTAINER=$!
for _ in $(seq 100); do
  INIT=$(pgrep -P "$CONTAINER" -x systemd || true)
  if [ -n "$INIT" ] && nsenter -t "$INIT" -a systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; then break; fi
  sleep 0.2
done
inside() {
  nsenter -t "$INIT" -a /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8 \
    ${NODE_EXTRA_CA_CERTS:+NODE_EXTRA_CA_CERTS=/root/authorities.pem} /bin/bash -euc "cd /root/diskmorph; $1"
}

say "Install"
inside "$(block Install 1)"
inside "$(block Install 2)"

say "First start"
# The first command prints the token that the last one wants.
inside "$(block 'First start' 1 | sed -e '1s/.*/TOKEN=$(&); echo $TOKEN > \/root\/token/')"

say "what systemd says of the units"
inside 'cp deploy/systemd/diskmorph-worker.service /etc/systemd/system
  systemd-analyze verify --man=no diskmorph.service diskmorph-worker.service
  systemd-analyze security --no-pager diskmorph.service | tail -1'

say "conversions, a kill, a drain, a stop"
inside "$(cat "$SOURCE/deploy/systemd/try-service.sh")"
say "everything went well"
