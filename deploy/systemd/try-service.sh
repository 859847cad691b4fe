# Run by try.sh, inside.
API=http://127.0.0.1:9292/v2
TOKEN="X-Auth-Token: $(cat /root/token)"
cd /root/images
fail() { echo "FAILED: $*"; journalctl -u diskmorph --no-pager -n 20; exit 1; }
status() { curl -s -H "$TOKEN" $API/images/$1 | grep -o '"status":"[^"]*' | cut -c11-; }
# begin FILE FORMAT: an import that has begun; its image is $ID.
begin() {
  ID=$(curl -sf -H "$TOKEN" $API/images --json "{\"name\":\"$1\",\"disk_format\":\"$2\",\"container_format\":\"bare\"}" | grep -o '"id":"[^"]*' | cut -c7-)
  curl -sf -H "$TOKEN" -T $1 -H 'Content-Type: application/octet-stream' $API/images/$ID/stage
  curl -sf -H "$TOKEN" --json '{"method":{"name":"glance-direct"}}' $API/images/$ID/import
}
# The image becomes active, with the content that was sent.
expect_whole() {
  for _ in $(seq 200); do [ "$(status $ID)" = active ] && break; sleep 0.2; done
  [ "$(curl -sf -H "$TOKEN" $API/images/$ID/file | sha256sum)" = "$(sha256sum < disk.raw)" ] || fail "$1: $(status $ID)"
  echo "$1: whole"
}
until_ended() { for _ in $(seq 300); do systemctl is-active -q $1 || return 0; sleep 0.2; done; fail "$1 does not end"; }
show() { systemctl show -p $1 --value diskmorph; }
expect() { [ "$2" = "$3" ] || fail "$1 is $2, not $3"; }

while read -r file format; do begin $file $format; expect_whole $file; done <<< 'zlib.qcow2 qcow2
zstd.qcow2 qcow2
stream.vmdk vmdk
disk.vhdx vhdx'
for wanted in qcow2 vmdk vhdx vdi vpc; do
  curl -sf -o /tmp/converted -H "$TOKEN" "$API/images/$ID/file?format=$wanted" || fail "a download as $wanted"
done
echo 'downloads in other formats: given'

begin zlib.qcow2 qcow2; sleep 0.5
kill -9 $(show MainPID)
expect_whole 'an import whose process was killed'
expect restarts "$(show NRestarts)" 1

begin zlib.qcow2 qcow2; sleep 0.3
systemctl kill --kill-whom=main --signal=SIGUSR1 diskmorph
until_ended diskmorph
expect 'the end of a drain' "$(show Result) $(show ExecMainStatus)" 'success 0'
systemctl start diskmorph; sleep 3
expect_whole 'an import that was finished before the end'

begin zlib.qcow2 qcow2; sleep 0.5
systemctl stop diskmorph
expect 'the end of a stop' "$(show Result) $(show ExecMainStatus)" 'success 0'
systemctl start diskmorph; sleep 3
expect_whole 'an import that was stopped'

cp -p /etc/diskmorph/diskmorph.conf /root/good
echo 'max_uploads = many' >> /etc/diskmorph/diskmorph.conf
systemctl restart diskmorph || true
until_ended diskmorph; sleep 3
expect 'a bad configuration' "$(show ActiveState) $(show ExecMainStatus) $(show NRestarts)" 'failed 78 0'
cp -p /root/good /etc/diskmorph/diskmorph.conf
systemctl restart diskmorph; sleep 3
touch /etc/diskmorph/disabled
expect 'health with the file that disables' "$(curl -s http://127.0.0.1:9292/healthcheck)" 'DISABLED BY FILE'
rm /etc/diskmorph/disabled
expect health "$(curl -s http://127.0.0.1:9292/healthcheck)" OK
expect 'files in the work directories' "$(find /var/lib/diskmorph/work /var/lib/diskmorph/staging -type f)" ''
