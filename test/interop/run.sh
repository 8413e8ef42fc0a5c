#!/usr/bin/env bash
# Runs the interop suite: clients that we did not write (git, gh, the AWS CLI, boto3, curl, OpenSSL, jose and jwcrypto), and Ceph's
# radosgw, an STS, IAM and S3 that checks signatures, session policies and expiry.
#
# Installs what is missing from Debian's or Ubuntu's packages where that is possible. Where it is not, prints why
# and leaves out what needs it; a failing start or test exits non-zero. Everything lives in one temporary folder
# on loopback ports, and is stopped and deleted at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."

main() {
  have_gh || install gh || echo "interop: gh is left out: $why"
  have_aws || install awscli python3-boto3 || echo "interop: the AWS CLI and boto3 are left out: $why"
  have_jose || install jose python3-jwcrypto || echo "interop: jose and jwcrypto are left out: $why"
  if ! have_radosgw && ! { install ceph-mon ceph-osd radosgw && have_radosgw; }; then
    echo "interop: radosgw is left out: ${why:-the packages of this system do not bring it}"
    npx vitest run --config test/interop/vitest.config.ts test/interop/git.test.ts test/interop/gh.test.ts \
      test/interop/aws-clients.test.ts test/interop/local-server.test.ts \
      test/interop/job-control.test.ts test/interop/client-certificates.test.ts \
      test/interop/jwt-svids.test.ts "$@"
    return
  fi
  folder=$(mktemp -d -t mayfly-interop.XXXXXX)
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  export CEPH_CONF="$folder/ceph.conf"
  read -r mon_port rgw_port < <(free_ports)
  write_configuration
  start_mon
  start_osd
  start_radosgw
  create_broker_and_role
  echo "interop: $(radosgw --version | cut -d ' ' -f 1-3) on 127.0.0.1:$rgw_port after ${SECONDS} s"
  INTEROP_AWS_ENDPOINT="http://127.0.0.1:$rgw_port" \
    INTEROP_AWS_ACCESS_KEY_ID="$access_key" \
    INTEROP_AWS_SECRET_ACCESS_KEY="$secret_key" \
    INTEROP_AWS_ROLE_ARN="arn:aws:iam::$account:role/deploy" \
    npx vitest run --config test/interop/vitest.config.ts "$@"
}

# AWS account ids have twelve digits; as a tenant's name they make radosgw's ARNs look like AWS's.
account=123456789012
access_key=AKIAINTEROPBROKER000
secret_key=interop-broker-secret-key
folder=
why=
pids=()

# install PACKAGE...: fails with the reason in $why.
install() {
  command -v apt-get >/dev/null || { why='it is not installed, and there is no apt-get to install it with'; return 1; }
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || { why='it is not installed, and installing it needs root'; return 1; }
    as_root=(sudo -n)
  fi
  local log status=0
  log=$(mktemp -t mayfly-interop-apt.XXXXXX)
  echo "interop: installing $*"
  { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } \
    >"$log" 2>&1 || status=1
  if [ "$status" -ne 0 ]; then
    tail -n 5 "$log"
    why='apt-get could not install it'
  fi
  rm -f "$log"
  return "$status"
}

# Debian's own, whatever else is on the PATH.
have_aws() {
  [ -x /usr/bin/aws ] && /usr/bin/python3 -c 'import boto3' 2>/dev/null
}

have_jose() {
  command -v jose >/dev/null && /usr/bin/python3 -c 'import jwcrypto' 2>/dev/null
}

have_gh() {
  command -v gh >/dev/null
}

have_radosgw() {
  command -v ceph ceph-mon ceph-osd ceph-authtool monmaptool radosgw radosgw-admin >/dev/null
}

# Runs on every way out: stops what was started, newest first, and says more where something failed.
clean_up() {
  local status=$? index log
  trap - EXIT INT TERM
  for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
    kill -KILL "${pids[index]}" 2>/dev/null || true
    wait "${pids[index]}" 2>/dev/null || true
  done
  if [ "$status" -ne 0 ]; then
    for log in "$folder"/*.out.log "$folder"/client.rgw.log; do
      [ -s "$log" ] && echo "--- ${log##*/}" && tail -n 15 "$log"
    done
  fi
  rm -rf "$folder"
  exit "$status"
}

free_ports() {
  node -e '
    const { createServer } = require("node:net")
    const servers = [createServer(), createServer()]
    let open = 0
    for (const server of servers) server.listen(0, "127.0.0.1", () => {
      if (++open < servers.length) return
      console.log(servers.map(one => one.address().port).join(" "))
      for (const one of servers) one.close()
    })'
}

# tcp_nodelay: without it every call costs 45 ms. No mgr runs: nothing here needs one.
write_configuration() {
  fsid=$(</proc/sys/kernel/random/uuid)
  cat >"$CEPH_CONF" <<END
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon_port]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
run dir = $folder
admin socket = $folder/\$name.asok
log file = $folder/\$name.log
crash dir = $folder
mon data = $folder/mon
mon cluster log file = $folder/cluster.log
mon allow pool size one = true
mon pg warn min per osd = 0
mon data avail crit = 0
osd data = $folder/osd
osd objectstore = memstore
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
memstore device bytes = 268435456
keyring = $folder/\$name.keyring
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$rgw_port tcp_nodelay=1
rgw s3 auth use sts = true
rgw sts key = interop-16-bytes
rgw data = $folder
END
}

start_mon() {
  local admin="$folder/client.admin.keyring" all='allow *'
  ceph-authtool "$admin" --create-keyring --gen-key -n client.admin --cap mon "$all" --cap osd "$all" >/dev/null
  ceph-authtool "$folder/mon.keyring" --create-keyring --gen-key -n mon. --cap mon "$all" >/dev/null
  ceph-authtool "$folder/mon.keyring" --import-keyring "$admin" >/dev/null
  monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$folder/monmap" >/dev/null
  ceph-mon -i a --mkfs --monmap "$folder/monmap" --keyring "$folder/mon.keyring"
  cp "$folder/mon.keyring" "$folder/mon/keyring"
  run_daemon mon ceph-mon -i a --keyring "$folder/mon.keyring"
  wait_until 'the monitor answers' ceph --connect-timeout 2 mon stat
}

start_osd() {
  local uuid
  uuid=$(</proc/sys/kernel/random/uuid)
  ceph osd new "$uuid" >/dev/null
  mkdir "$folder/osd"
  ceph auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' -o "$folder/osd.0.keyring" >/dev/null
  ceph-osd -i 0 --mkfs --osd-uuid "$uuid" >/dev/null 2>&1
  run_daemon osd ceph-osd -i 0
  wait_until 'the OSD is up' osd_is_up
}

osd_is_up() {
  ceph osd stat | grep -q '1 up'
}

start_radosgw() {
  ceph auth get-or-create client.rgw mon 'allow rw' osd 'allow rwx' -o "$folder/client.rgw.keyring" >/dev/null
  run_daemon radosgw radosgw -n client.rgw
  wait_until 'radosgw listens' radosgw_listens
}

radosgw_listens() {
  (exec 3<>"/dev/tcp/127.0.0.1/$rgw_port") 2>/dev/null
}

# The broker as an operator would set it up: a user that may assume one role, and manage its policies.
create_broker_and_role() {
  local trust permissions
  radosgw-admin user create --tenant="$account" --uid=broker --display-name=broker \
    --access-key="$access_key" --secret="$secret_key" --caps='roles=*;oidc-provider=*' >/dev/null
  trust=$(statement '"Principal":{"AWS":["arn:aws:iam::'"$account"':user/broker"]},"Action":["sts:AssumeRole"]')
  permissions=$(statement '"Action":"s3:*","Resource":"*"')
  radosgw-admin role create --tenant="$account" --role-name=deploy --assume-role-policy-doc="$trust" >/dev/null
  radosgw-admin role policy put --tenant="$account" --role-name=deploy --policy-name=base \
    --policy-doc="$permissions" >/dev/null 2>&1 ||
    radosgw-admin role-policy put --tenant="$account" --role-name=deploy --policy-name=base \
      --policy-doc="$permissions" >/dev/null
}

statement() {
  printf '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",%s}]}' "$1"
}

# run_daemon NAME COMMAND...: in the foreground of a background job, so that its pid is known.
run_daemon() {
  local name=$1
  shift
  "$@" -f >"$folder/$name.out.log" 2>&1 &
  pids+=($!)
}

# wait_until WHAT COMMAND...: asks again until it succeeds, for a minute at most, or until a daemon has died.
wait_until() {
  local what=$1 pid limit=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    for pid in "${pids[@]}"; do
      kill -0 "$pid" 2>/dev/null || fail "a daemon died before $what"
    done
    [ "$SECONDS" -lt "$limit" ] || fail "a minute passed before $what"
    sleep 0.2
  done
}

fail() {
  echo "interop: $1" >&2
  exit 1
}

main "$@"
