"""What a program gives out of its hands: every system call that may carry data, seen by strace."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# These take no data of the process to anything outside of it. All that is not named here is traced.
HARMLESS: Final = frozenset(
    """
    read readv pread64 preadv preadv2 recvfrom recvmsg recvmmsg getdents64 close_range dup dup2
    dup3 lseek fcntl stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2
    readlink readlinkat getcwd fsync fdatasync sync_file_range fadvise64 flock poll ppoll select
    pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 timerfd_create
    timerfd_settime signalfd4 inotify_init1 pipe pipe2 socket socketpair getsockname getpeername
    getsockopt setsockopt accept accept4 shutdown munmap mprotect mremap madvise brk mlock munlock
    msync mincore futex futex_waitv rseq set_robust_list set_tid_address membarrier clone clone3 fork
    vfork exit exit_group wait4 waitid kill tgkill rt_sigaction rt_sigprocmask rt_sigreturn
    rt_sigtimedwait sigaltstack restart_syscall nanosleep clock_nanosleep clock_gettime clock_getres
    gettimeofday time times alarm setitimer getpid getppid gettid getuid geteuid getgid getegid
    getgroups getresuid getresgid getpgrp getpgid getsid setsid umask chmod fchmod fchmodat chown
    fchown fchownat utimensat uname sysinfo getrusage prlimit64 getrlimit setrlimit getpriority
    setpriority sched_yield sched_getaffinity sched_setaffinity sched_setscheduler sched_getscheduler
    sched_getparam sched_get_priority_max sched_get_priority_min getcpu get_mempolicy set_mempolicy
    mbind prctl arch_prctl getrandom chdir fchdir ftruncate truncate rmdir
    """.split()  # noqa: SIM905
)

STRACE: Final = ["strace", "-f", "--seccomp-bpf", "-qq", "-yy", "-xx", "-s", "1000000"]
STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
CALL: Final = re.compile(r"\d+ +(\w+)\((.*)")
TARGET: Final = re.compile(r"(\d+)<((?:->|[^<>]|<char [^>]*>)*)>")  # of a file descriptor
WRITES: Final = re.compile("O_WRONLY|O_RDWR|O_CREAT")
ASKS: Final = re.compile("TCGETS|TIOCGWINSZ|FIONBIO|FIOCLEX|FIONREAD")
PORT: Final = re.compile(r"sin6?_port=htons\((\d+)\)")
PATH: Final = re.compile(r'sun_path=@?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Given:
    """What one system call took from the process."""

    call: str
    to: str  # a path, `port N` of a socket, or what strace calls it; empty if it has no target
    data: bytes  # all strings that it was given


def traced(trace: Path) -> list[str]:
    """What a command begins with so that its calls, and those of its children, are written down."""
    calls = ",".join(f"?{name}" for name in sorted(HARMLESS))
    return [*STRACE, "-e", "signal=none", "-e", f"trace=!{calls}", "-o", str(trace)]


def given(trace: Path) -> Iterator[Given]:
    """Read what was written down, in its order.

    Reading from files, private mappings and questions to a terminal are left out. Raises ValueError
    for data that strace has shortened.
    """
    peers: dict[str, str] = {}  # of connected sockets, by file descriptor
    for line in trace.read_text().splitlines():
        match = CALL.match(line)
        if match is None:  # a call that goes on, whose data was seen before, or an exit
            continue
        call, words = match.groups()
        target = TARGET.match(words)
        descriptor, to = (target[1], _plain(target[2])) if target else ("", "")
        address = _address(words) if call in ("connect", "sendto", "sendmsg") else ""
        if call == "connect":
            peers[descriptor] = address
        if call == "close":
            peers.pop(descriptor, None)
            continue
        if to.startswith(("TCP", "UDP", "UNIX")):
            to = address or peers.get(descriptor, to)
        # The name of a target is no data, though that of a socket stands in quotes too.
        data = b"".join(_strings(words[target.end() :] if target else words))
        yield from _carried(call, words, to, data)


def _carried(call: str, words: str, to: str, data: bytes) -> Iterator[Given]:
    """The call, unless it is one that only takes."""
    if call in ("open", "openat"):
        if WRITES.search(words):
            yield Given(call, data.decode(), b"")
    elif call == "mmap":
        target = TARGET.search(words)
        if "MAP_SHARED" in words and "PROT_WRITE" in words:
            yield Given(call, _plain(target[2]) if target else "memory", b"")
    elif call != "ioctl" or not ASKS.search(words):
        yield Given(call, to, data)


def _address(words: str) -> str:
    """That a socket is told to send to; empty if it is told none."""
    if port := PORT.search(words):
        return f"port {port[1]}"
    path = PATH.search(words)
    return _plain(path[1]).lstrip("\0") if path else ""


def by_target(calls: Iterable[Given]) -> dict[str, bytes]:
    """All that went to each target, joined; of calls without one, by the call."""
    joined: dict[str, list[bytes]] = defaultdict(list)
    for one in calls:
        joined[one.to or one.call].append(one.data)
    return {to: b"".join(parts) for to, parts in joined.items()}


def _strings(words: str) -> Iterator[bytes]:
    for text, is_short in STRING.findall(words):
        if is_short:
            raise ValueError(f"strace has shortened what was given: {words[:200]}")
        yield bytes.fromhex(text.replace("\\x", ""))


def _plain(text: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), text)
