#!/bin/bash
# A copy of a root directory, in memory, for commands that change it. As root.
#
#   tree.sh ROOT FOLDER [SOURCE:TARGET]...
#
# ROOT is not changed: the copy is FOLDER/root, in a mount namespace that only this process and those
# who enter it see. Each SOURCE is seen inside as TARGET, read-only. Prints a line when all is there,
# and ends when standard input does, so also when the one who started this is killed.
set -euo pipefail

root=$1 folder=$2
shift 2
if [ -z "${TREE_IS_PRIVATE:-}" ]; then
  TREE_IS_PRIVATE=1 exec unshare --mount --propagation private "$0" "$root" "$folder" "$@"
fi
mount -t tmpfs -o mode=755 tmpfs "$folder"
mkdir "$folder"/{upper,work,root}
mount -t overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" \
  overlay "$folder/root"
cd "$folder/root"
for bind in "$@"; do
  mkdir -p "./${bind#*:}"
  mount --bind "${bind%%:*}" "./${bind#*:}"
  mount -o remount,bind,ro "./${bind#*:}"
done
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
echo there
cat >/dev/null
