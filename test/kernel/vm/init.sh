#!/bin/busybox sh
# First process of a test machine, in the initial ram disk: loads the few drivers that reaching the root file system needs, mounts the
# host's root read-only over 9p with a tmpfs overlay on top, and goes on there with guest.sh. Parameters come from the kernel's command
# line: lvr_guest (guest.sh as the host sees it), lvr_modules (directory with the modules), lvr_name (host name), lvr_size (overlay),
# lvr_code (archive of files that would be slow to read one by one).
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
for module in $($B cat /modules/order); do $B insmod "/modules/$module"; done
$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,ro,cache=loose,noxattr root /lower
$B mount -t tmpfs -o "size=${lvr_size:-75%}" tmpfs /upper
$B mkdir /upper/files /upper/work
[ -z "$lvr_code" ] || (cd /upper/files && $B cpio -i <"/lower$lvr_code")
$B mount -t overlay -o xino=off,metacopy=off,redirect_dir=off,lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
for place in proc sys dev; do $B mount --move "/$place" "/root/$place"; done
export lvr_guest lvr_modules lvr_name lvr_shell
exec $B switch_root /root /bin/bash "$lvr_guest"
