#!/bin/bash
# Types what docs/admin-guide.md says ("In a container instead") and tries the service there: its health, an import with a
# conversion, a stop. Ends with "everything went well", or at the first thing that did not; removes all that it made.
#
#   sudo apt-get install podman curl qemu-utils
#   deploy/container/try.sh
#
# Needs the base image that the Containerfile names, from its registry or under that name in the local store.
set -euo pipefail

SOURCE=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$(mktemp -d)
finish() {
  podman rm --force diskmorph > /dev/null 2>&1 || true
  podman volume rm --force diskmorph-state > /dev/null 2>&1 || true
  podman unshare rm -rf "$WORK" 2> /dev/null || rm -rf "$WORK"
}
trap finish EXIT

if podman container exists diskmorph || podman volume exists diskmorph-state; then
  echo 'There is a container diskmorph or a volume diskmorph-state already' >&2
  trap - EXIT
  exit 1
fi
block() {
  awk -v section="## $1" '/^## / { inside = $0 == section } inside && /^```/ { open = !open; next } inside && open' \
    "$SOURCE/docs/admin-guide.md"
}
git -C "$SOURCE" archive HEAD | tar -x -C "$WORK"
for file in deploy docs; do cp -r "$SOURCE/$file" "$WORK"; done
cd "$WORK"
mkfifo said
tee log < said &
bash -euxo pipefail -c "$(block 'In a container instead')" > said
wait
echo
podman image ls diskmorph

TOKEN="X-Auth-Token: $(grep -o 'dmt_[A-Za-z0-9_-]*' log | head -1)"
API=http://127.0.0.1:9292/v2
head -c 20M /dev/urandom > disk.raw && truncate -s 100M disk.raw
qemu-img convert -c -O qcow2 -o compression_type=zstd disk.raw disk.qcow2
ID=$(curl -sf -H "$TOKEN" $API/images --json '{"name":"disk","disk_format":"qcow2","container_format":"bare"}' | grep -o '"id":"[^"]*' | cut -c7-)
curl -sf -H "$TOKEN" -T disk.qcow2 -H 'Content-Type: application/octet-stream' "$API/images/$ID/stage"
curl -sf -H "$TOKEN" --json '{"method":{"name":"glance-direct"}}' "$API/images/$ID/import"
for _ in $(seq 100); do
  if curl -sf -H "$TOKEN" "$API/images/$ID" | grep -q '"status":"active"'; then break; fi
  sleep 0.2
done
[ "$(curl -sf -H "$TOKEN" "$API/images/$ID/file" | sha256sum)" = "$(sha256sum < disk.raw)" ]
podman healthcheck run diskmorph
podman stop diskmorph
[ "$(podman inspect diskmorph --format '{{.State.ExitCode}}')" = 0 ]
podman logs diskmorph 2>&1 | tail -2
echo 'everything went well'
