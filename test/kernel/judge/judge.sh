#!/bin/bash
# A file system judges a block device: dm-log-writes records a workload on top of it, then the record is replayed to its flushes, and at
# each of them the file system must be clean and hold every file that had been synced. At the end the replay must equal the device.
#   judge.sh DEVICE ext4|xfs POINTS REPLAY.JS     LVR_JUDGE_DROP=N: every N-th write is left out of the replay
set -euo pipefail
device=$1 kind=$2 points=$3 replay=$4
work=/run/judge-$kind place=/run/judge-$kind/mounted
sectors=$(blockdev --getsz "$device")
mkdir -p "$place"
truncate -s 1G "$work/log.img"
truncate -s $((sectors * 512)) "$work/target.img" "$work/changes.img"
log=$(losetup -f --show "$work/log.img")
target=$(losetup -f --show "$work/target.img")
changes=$(losetup -f --show "$work/changes.img")
trap 'umount -q $place || true; dmsetup remove judge 2>/dev/null || true; losetup -d $log $target $changes; rm -r $work' EXIT

case $kind in
  ext4) make="mkfs.ext4 -q -F -E nodiscard" ;;
  xfs) make="mkfs.xfs -q -f -K" ;;
esac
blkdiscard -z "$device"
dmsetup create judge --table "0 $sectors log-writes $device $log"
$make /dev/mapper/judge
dmsetup message judge 0 mark made
mount /dev/mapper/judge "$place"

# Synced files of growing size, each with a neighbour that is not synced, and removals in between.
for i in {1..12}; do
  seq $((i * 2000)) $((i * 3000)) >"$place/new"
  mv "$place/new" "$place/file$i"
  sync "$place" "$place/file$i"
  dmsetup message judge 0 mark "$i"
  (cd "$place" && sha256sum "file$i") >>"$work/sums"
  mkdir -p "$place/dir$((i % 3))"
  seq 1 $((i * 600)) >"$place/dir$((i % 3))/loose$i"
  [ $((i % 4)) != 0 ] || rm -r "$place/dir$((i % 3))"
done
umount "$place"
dmsetup remove judge

node "$replay" "$log" "$target" "$points" bash "${0%/*}/check-point.sh" "$target" "$changes" "$kind" "$work/sums"
cmp -n $((sectors * 512)) "$target" "$device"
echo "the replay equals the device"
