#!/bin/bash
# Process 1 of a test machine after init.sh: finishes the system, then runs the scripts that the host sends.
#
# Control port, one line each way. Host: "ID SECONDS BASE64-OF-SCRIPT". Guest: "ready", "ID output line", "exit ID CODE".
# A script that leaves something running must redirect its output, otherwise its end is not seen. The machine goes off when the host
# closes the port, so a host that died leaves no machine behind.
# No udev here: device mapper tools make their nodes themselves.
export DM_DISABLE_UDEV=1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
# Busybox where it does: it is one static file, and every other program costs a tenth of a second to load here.
B=/bin/busybox
$B mount -t tmpfs tmpfs /run
$B mkdir -p /run/vm /run/lock /dev/shm /dev/pts /lib/modules
$B mount -t tmpfs tmpfs /dev/shm
$B mount -t devpts devpts /dev/pts
$B ln -sf /proc/self/fd /dev/fd
$B mount -o bind "$lvr_modules" /lib/modules
echo "$lvr_name" >/proc/sys/kernel/hostname
# The first network card reaches the host (10.0.2.2), the second one the other machines. Names do not depend on udev, which does not run.
commands='link set lo up'$'\n'
for card in /sys/class/net/*; do
  read -r address <"$card/address"
  card=${card##*/} last=$((16#${address##*:}))
  case $address in
    52:54:00:00:00:*) name=host more='' own=10.0.2.15/24 ;;
    52:54:00:00:01:*) name=lan more='mtu 9000' own=10.9.0.$last/24 ;;
    *) continue ;;
  esac
  commands+="link set $card name $name $more"$'\n'"address add $own dev $name"$'\n'"link set $name up"$'\n'
done
ip -batch - <<<"$commands"
if [ -n "$lvr_shell" ]; then
  echo "A test machine ($(uname -r)); everything written here is gone afterwards. Leave with exit, or Ctrl-A X."
  cd "$lvr_shell" && setsid /bin/busybox cttyhack bash -i
  echo o >/proc/sysrq-trigger
  sleep 10
fi
exec 3<>"$(ls -d /dev/vport*p1)"
echo ready >&3
while read -r id seconds text <&3; do
  {
    printf %s "$text" | base64 -d >"/run/vm/$id"
    timeout -k 5 "$seconds" bash "/run/vm/$id" </dev/null 2>&1 3>&- | sed -u "s/^/$id /" >&3
    printf '\nexit %s %s\n' "$id" "${PIPESTATUS[0]}" >&3
  } &
done
echo o >/proc/sysrq-trigger
sleep 10
