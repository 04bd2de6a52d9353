#!/bin/bash
# A clean Debian, the least there is, to try packages on. As root, on Debian.
#
#   debian.sh FOLDER [PACKAGES]    make it there, if it is not there yet: about 1 minute, 160 MB
#
# PACKAGES: more that it is to have, with commas between them.
set -euo pipefail

suite=bookworm
[ -e "$1/etc/debian-is-complete" ] && exit
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
  grep -m1 '/debian/*$' || true) # else debootstrap knows one
rm -rf "$1"
mkdir -p "$1"
debootstrap --variant=minbase ${2:+--include="$2"} "$suite" "$1" ${mirror:+"$mirror"}
rm -f "$1"/var/cache/apt/archives/*.deb
cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
touch "$1/etc/debian-is-complete"
