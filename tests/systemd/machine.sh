#!/bin/bash
# A real systemd as PID 1 over a copy of a root directory, in namespaces of its own. As root.
#
#   machine.sh ROOT FOLDER shared|own [SOURCE:TARGET]...
#
# ROOT is not changed: what the machine writes lies in memory, where this process and its children
# see it as FOLDER/upper. Each SOURCE is seen inside as TARGET, read-only. The network is that of the
# host, or one of the machine's own with nothing but a loopback. Prints the host's id of PID 1 and
# the machine's control group. All ends when standard input does, so also when the one who started
# this is killed.
set -euo pipefail

root=$1 folder=$2 network=$3
shift 3
group=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/affectd-machine-$$

# In the new namespaces: becomes PID 1.
become_systemd() {
  cd "$folder/root"
  local bind node
  rm -rf etc/systemd/system/*.wants # what the host wants started
  mount -t proc proc proc
  mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
  mount -t sysfs sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -o remount,bind,ro sys
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=1777 tmpfs tmp
  mount -t tmpfs -o mode=755 tmpfs dev
  for node in null zero full random urandom tty; do
    touch "dev/$node" && mount --bind "/dev/$node" "dev/$node"
  done
  mkdir dev/pts dev/shm run/old
  mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
  mount -t tmpfs -o mode=1777 tmpfs dev/shm
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  for bind in "$@"; do
    mkdir -p "./${bind#*:}"
    mount --bind "${bind%%:*}" "./${bind#*:}"
    mount -o remount,bind,ro "./${bind#*:}"
  done
  [ "$network" = shared ] || ip link set lo up
  pivot_root . run/old
  umount -l /run/old && rmdir /run/old
  mount --make-rshared / # as systemd has it where it is not in a container; credentials need it
  exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=basic.target --show-status=no
}

# Ends PID 1, and with it all processes and mounts of the machine.
clean_up() {
  kill -KILL "${child:-}" 2>/dev/null || true
  wait 2>/dev/null || true
  until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; do
    [ -d "$group" ] || break
    sleep 0.1
  done
}

case ${MACHINE_STAGE:-mounts} in
  mounts) # whose mounts end with this process
    MACHINE_STAGE=launch exec unshare --mount --propagation private "$0" "$root" "$folder" "$network" "$@" ;;
  launch)
    mount -t tmpfs -o mode=755 tmpfs "$folder"
    mkdir "$folder"/{upper,work,root}
    mount -t overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" \
      overlay "$folder/root"
    own=()
    [ "$network" = shared ] || own=(--net)
    trap '' INT TERM HUP
    mkdir "$group"
    trap clean_up EXIT
    (
      echo "$BASHPID" >"$group/cgroup.procs"
      MACHINE_STAGE=inside exec setpriv --pdeathsig KILL unshare --mount --cgroup --pid --fork \
        --uts --ipc "${own[@]}" --kill-child "$0" "$root" "$folder" "$network" "$@"
    ) </dev/null >&2 &
    child=$!
    inside=
    while [ -z "$inside" ]; do
      sleep 0.05
      inside=$(tr -d ' ' <"/proc/$child/task/$child/children") # fails where the child has ended
    done
    echo "$inside $group"
    cat >/dev/null ;;
  inside)
    become_systemd "$@" ;;
esac
