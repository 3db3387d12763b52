#!/bin/bash
# DRBD 8.4, as in Debian's kernel, between two test machines, on /dev/ram0 of each. Runs in both machines.
#   drbd.sh up A|C       brings the resource up on this machine; ends when both see each other
#   drbd.sh primary      makes this side the primary without a first copy: both ramdisks are blank
#   drbd.sh down         takes it down and forgets it
set -euo pipefail
config=/etc/drbd.d/lab.res

case $1 in
  up)
    mkdir -p /etc/drbd.d /var/lib/drbd /run/lock /run/drbd
    printf 'global { usage-count no; }\ncommon { }\ninclude "drbd.d/*.res";\n' >/etc/drbd.conf
    cat >"$config" <<END
resource lab {
  protocol $2;
  net { max-buffers 8000; max-epoch-size 8000; }
  disk { disk-barrier no; }
  device /dev/drbd0;
  disk /dev/ram0;
  meta-disk internal;
  on vm1 { address 10.9.0.1:7789; }
  on vm2 { address 10.9.0.2:7789; }
}
END
    modprobe drbd
    dd if=/dev/zero of=/dev/ram0 bs=1M oflag=direct status=none || true
    drbdadm create-md --force lab >/dev/null 2>&1
    drbdadm up lab
    timeout 20 bash -c 'until grep -q "cs:Connected" /proc/drbd; do sleep 0.1; done'
    ;;
  primary)
    drbdadm -- --clear-bitmap new-current-uuid lab/0
    drbdadm primary lab
    timeout 20 bash -c 'until grep -q "ro:Primary/Secondary ds:UpToDate/UpToDate" /proc/drbd; do sleep 0.1; done'
    ;;
  down)
    drbdadm down lab
    rm "$config"
    ;;
esac
