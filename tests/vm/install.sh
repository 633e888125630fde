#!/bin/sh
# Installs what a virtual machine is made and run with, where apt-get and root are there; never fails, as peers/install.sh.

set -u
here=$(dirname "$0")

sh "$here/../platform/install.sh"

missing=""
want() { # PROGRAM PACKAGES
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

want qemu-system-x86_64 qemu-system-x86
want busybox busybox-static
want depmod kmod
want mke2fs e2fsprogs

[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed, as that takes root and apt-get:$missing" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086 # words of a list
apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends $missing >/dev/null 2>&1 ||
    echo "could not be installed:$missing" >&2
exit 0
