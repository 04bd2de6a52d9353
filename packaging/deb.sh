#!/bin/bash
# Builds dist/affectd_VERSION_ARCHITECTURE.deb from a wheel, on a Debian, for its own Python.
#
#   deb.sh WHEEL
#
# The date in the package is that of the last commit, or SOURCE_DATE_EPOCH.
set -euo pipefail

wheel=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
version=$(basename "$wheel" | cut -d- -f2)
python=$(/usr/bin/python3 -c 'import sys; print("{}.{}".format(*sys.version_info))')
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct)}
export WHEEL=$wheel VERSION_OF_PYTHON=$python NEXT_PYTHON=3.$((${python#3.} + 1))

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$work/affectd-$version
mkdir "$source"
cp -r "$here/debian" "$top/README.md" "$top/CHANGELOG.md" "$top/docs" "$source"
cp "$top/config/affectd.yaml" "$source/debian/affectd.yaml"
cat >"$source/debian/changelog" <<END
affectd ($version) unstable; urgency=medium

  * What changed: /usr/share/doc/affectd/CHANGELOG.md.

 -- affectd maintainers <maintainers@affectd.invalid>  $(date -uRd "@$SOURCE_DATE_EPOCH")
END
(cd "$source" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps)
mkdir -p "$top/dist"
mv "$work"/*.deb "$top/dist/"
