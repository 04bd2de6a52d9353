#!/bin/bash
# A clean Debian, the least there is, to try packages on. As root, on Debian.
#
#   debian.sh FOLDER    make it there, if it is not there yet: about 1 minute, 160 MB
set -euo pipefail

suite=bookworm
[ -e "$1/etc/debian-is-complete" ] && exit
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
  grep -m1 '/debian/*$' || echo http://deb.debian.org/debian)
rm -rf "$1"
mkdir -p "$1"
debootstrap --variant=minbase "$suite" "$1" "$mirror"
rm -f "$1"/var/cache/apt/archives/*.deb
cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
touch "$1/etc/debian-is-complete"
