#!/bin/bash
# A Debian tree with Home Assistant Core in it, and commands run inside. As root, on Debian.
#
#   tree.sh make                   build what is missing: about 2 minutes, 1.3 GB
#   tree.sh run FOLDER COMMAND...  run a command in the tree; it sees FOLDER as /config
#
# HOME_ASSISTANT is the version. Its Python is newer or older than Debian's here, so it gets the
# Debian that has it. Outside the folder of trees (TREES), the package debootstrap alone is installed.
set -euo pipefail

version=${HOME_ASSISTANT:-2026.11.0}
case $version in
  202[0-4].* | 2025.*)
    # Compiles two packages that have no wheel for this Python; josepy 2 lacks what it imports.
    suite=trixie python=3.13 debs=gcc,g++,libc6-dev,python3.13-dev pins='josepy<2' ;;
  *) suite=forky python=3.14 debs= pins= ;;
esac
trees=${TREES:-$(cd "$(dirname "$0")/../.." && pwd)/build/home-assistant}
tree=$trees/$suite
venv=/opt/home-assistant-$version

# Becomes the command, with mounts in a namespace of its own, so that none is left behind.
become() {
  exec unshare --mount bash -c '
    tree=$1 folder=$2; shift 2
    mount -t proc proc "$tree/proc" && mount --rbind /dev "$tree/dev"
    mkdir -p "$tree/config" && mount --bind "$folder" "$tree/config"
    exec chroot "$tree" "$@"' - "$tree" "$1" \
    env -i HOME=/root LANG=C.UTF-8 TZ=UTC PATH="$venv/bin:/usr/bin:/bin" \
    ${PIP_INDEX_URL:+UV_DEFAULT_INDEX="$PIP_INDEX_URL"} UV_LINK_MODE=copy UV_NO_CACHE=1 \
    VIRTUAL_ENV="$venv" SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "${@:2}"
}

inside() { (become "$trees/empty" "$@"); }

make_debian() {
  [ -e "$tree/etc/debian-is-complete" ] && return
  rm -rf "$tree"
  mkdir -p "$trees"
  if ! command -v debootstrap >/dev/null; then
    apt-get update -qq && apt-get install -qq -y debootstrap
  fi
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    grep -m1 '/debian/*$' || true) # else debootstrap knows one
  # Given the name of a script, it wants that of a mirror too; an older one does not know newer suites.
  [ -e "/usr/share/debootstrap/scripts/$suite" ] ||
    ln -s sid "/usr/share/debootstrap/scripts/$suite"
  debootstrap --variant=minbase \
    --include="python$python,python$python-venv,ca-certificates${debs:+,$debs}" \
    "$suite" "$tree" ${mirror:+"$mirror"}
  touch "$tree/etc/debian-is-complete"
}

make_venv() {
  [ -e "$tree$venv/is-complete" ] && return
  rm -rf "${tree:?}$venv"
  cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
  cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
  [ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$tree/etc/"
  inside "python$python" -m venv "$venv"
  inside pip install -q --disable-pip-version-check uv
  inside uv pip install -q "homeassistant==$version" ${pins:+"$pins"}
  local constraints="$venv/lib/python$python/site-packages/homeassistant/package_constraints.txt"
  # One at a time: some of what voice assistants need must be compiled, and is not needed here.
  inside python -c "$REQUIREMENTS" | while read -r requirement; do
    inside uv pip install -q -c "$constraints" "$requirement" \
      </dev/null 2>/dev/null || echo "left out: $requirement" >&2
  done
  touch "$tree$venv/is-complete"
}

# What is started with every Home Assistant, and MQTT, need of packages.
REQUIREMENTS='
import json, pathlib
import homeassistant
from homeassistant.bootstrap import CORE_INTEGRATIONS, DEFAULT_INTEGRATIONS
components = pathlib.Path(homeassistant.__file__).parent / "components"
todo, done, found = {"mqtt", *CORE_INTEGRATIONS, *DEFAULT_INTEGRATIONS}, set(), set()
while todo:
    name = todo.pop()
    done.add(name)
    manifest = json.loads((components / name / "manifest.json").read_text())
    found.update(manifest.get("requirements", ()))
    for kind in ("dependencies", "after_dependencies"):
        todo.update(set(manifest.get(kind, ())) - done)
print("\n".join(sorted(found)))'

case ${1:-} in
  make)
    mkdir -p "$trees/empty"
    make_debian
    make_venv
    rmdir "$trees/empty" ;;
  run)
    shift
    become "$@" ;;
  *)
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 2 ;;
esac
