#!/bin/bash
# Checks the state of a file system on a snapshot, so that the replay underneath goes on untouched.
#   check-point.sh DEVICE CHANGES ext4|xfs SUMS MARK     MARK: none, made, or how many of the files in SUMS had been synced
set -euo pipefail
device=$1 changes=$2 kind=$3 sums=$4 mark=$5 place=/run/point
[ "$mark" != none ] || exit 0
mkdir -p "$place"
dmsetup create point --table "0 $(blockdev --getsz "$device") snapshot $device $changes N 8"
trap 'umount -q $place || true; dmsetup remove --retry point' EXIT
# Mounting replays the journal, as a start after a power cut does; then the checker must find nothing at all.
mount -o "$([ "$kind" = xfs ] && echo nouuid || echo defaults)" /dev/mapper/point "$place"
case $mark in
  made) ;;
  [1-9]*) head -n "$mark" "$sums" | (cd "$place" && sha256sum -c --quiet) ;;
  *) (cd "$place" && sha256sum -c --quiet) <"$sums" ;;
esac
umount "$place"
case $kind in
  ext4) e2fsck -fn /dev/mapper/point ;;
  xfs) xfs_repair -n /dev/mapper/point ;;
esac
