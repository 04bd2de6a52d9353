#!/bin/bash
# A Debian for ARM under QEMU, as on a Raspberry Pi, and commands run inside. As root, on Debian.
#
#   debian.sh make SUITE ARCH                   build what is missing: 5 to 10 minutes, 0.4 GB
#   debian.sh run SUITE ARCH FOLDER COMMAND...  run a command in the tree, in FOLDER, seen as /mnt
#
# SUITE: bookworm, trixie. ARCH: arm64 (a 64-bit Raspberry Pi OS) or armhf (a 32-bit one). Outside
# the folder of trees (TREES), the packages debootstrap and qemu-user-static alone are installed.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '2,8s/^# \?//p' "$0"; exit 2; }
# Each mount is made in a namespace of this process, so that none is left behind.
[ -n "${IN_NAMESPACE:-}" ] || IN_NAMESPACE=1 exec unshare --mount "$0" "$@"
suite=$2 arch=$3
trees=${TREES:-$(cd "$(dirname "$0")/../.." && pwd)/build/raspberry-pi}
tree=$trees/$suite-$arch
debs=python3,python3-venv,libportaudio2,libsndfile1,ca-certificates
# The cores of a Raspberry Pi 4 and 2; QEMU's own choice signs addresses, which takes 10 times as long.
case $arch in
  arm64) machine=aarch64 cpu=cortex-a72 part=0xd08 features='fp asimd evtstrm crc32 cpuid' ;;
  # What has no wheel for 32-bit ARM comes from Debian, or is compiled.
  armhf) machine=arm cpu=cortex-a7 part=0xc07 features='half thumb fastmult vfp edsp neon vfpv3 tls vfpv4'
    debs=$debs,python3-numpy,python3-yaml,python3-cffi,python3-dev,gcc,g++,libc6-dev ;;
  *) echo "ARCH is arm64 or armhf, not $arch" >&2; exit 2 ;;
esac

# Lets the kernel hand ARM programs to QEMU, where nothing else has done so yet.
register() {
  local formats=/proc/sys/fs/binfmt_misc
  [ -e $formats/register ] || mount -t binfmt_misc binfmt_misc $formats
  [ -e $formats/qemu-$machine ] || cat /usr/lib/binfmt.d/qemu-$machine.conf >$formats/register
}

# Becomes a command in the tree. LiteRT crashes when it reads of another machine's processor.
become() {
  local folder=$1
  shift
  printf 'processor\t: 0\nFeatures\t: %s\nCPU implementer\t: 0x41\nCPU architecture: %s\nCPU part\t: %s\n\n' \
    "$features" "$([ $arch = armhf ] && echo 7 || echo 8)" "$part" >"$tree/etc/cpuinfo"
  cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
  cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
  [ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$tree/etc/"
  mount -t proc proc "$tree/proc"
  mount --bind "$tree/etc/cpuinfo" "$tree/proc/cpuinfo"
  mount --rbind /dev "$tree/dev"
  mount --bind /sys "$tree/sys" && mount -o remount,bind,ro "$tree/sys"
  mount --bind "$folder" "$tree/mnt"
  exec chroot "$tree" \
    env -i -C /mnt HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin QEMU_CPU=$cpu \
    DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "$@"
}

make_debian() {
  if ! command -v debootstrap >/dev/null || [ ! -e /usr/lib/binfmt.d/qemu-$machine.conf ]; then
    apt-get update -qq && apt-get install -qq -y debootstrap qemu-user-static
  fi
  register
  [ ! -e "$tree/etc/debian-is-complete" ] || return 0
  rm -rf --one-file-system "$tree"
  mkdir -p "$tree"
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    grep -m1 '/debian/*$' || true)  # else debootstrap knows one
  QEMU_CPU=$cpu debootstrap --arch=$arch --variant=minbase --include=$debs "$suite" "$tree" \
    ${mirror:+"$mirror"}
  touch "$tree/etc/debian-is-complete"
}

case $1 in
  make) make_debian ;;
  run)
    register
    become "$(realpath "$4")" "${@:5}"
    ;;
  *) echo "$1 is neither make nor run" >&2; exit 2 ;;
esac
