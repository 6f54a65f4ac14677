"""Every mutating file call of the package, in one place: so that it can be recorded, replayed and failed.

Files are born 0600 and directories 0700 whatever the umask says, symlinks are never followed, and
nothing but a regular file is ever read. Loaded by the capture process, so it stands on `os` alone.
"""

from __future__ import annotations

import errno
import os
import stat

from moai_patterns.errors import UnsafeStoreError

_SAFE = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOINHERIT", 0)
)
# A FIFO swapped in for a file must not hang whoever opens it.
_READ = os.O_RDONLY | _SAFE | getattr(os, "O_NONBLOCK", 0)
# What a system says of something that can be read, perhaps, but not written.
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
# And where there is no space, no inode, or none within the user's quota, which Windows does not know.
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
# And of a second name for a file, where there is one name for each.
_UNLINKABLE = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
_FILE = 0o600
_DIRECTORY = 0o700
# So often a parent may be removed as empty, by a compaction, before what was to be made in it.
_REMOVED_MEANWHILE = 5


def open_new(path: str, *, append: bool = False) -> int:
    """Create a file that must not exist and return its descriptor. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE | (os.O_APPEND if append else 0)
    return _restricted(os.open(path, flags, _FILE), path)


def open_shared(path: str, *, append: bool = False, create: bool = True) -> int:
    """Open a regular file for reading and writing, created when missing if asked. Raises `OSError`."""
    flags = os.O_RDWR | _SAFE | getattr(os, "O_NONBLOCK", 0) | (os.O_APPEND if append else 0)
    flags |= os.O_CREAT if create else 0
    return _restricted(os.open(path, flags, _FILE), path)


def open_own(path: str) -> int:
    """Open a regular file for reading, if nobody else can have made or changed it. Raises `OSError`."""
    descriptor = open_read(path)
    try:
        refuse_unsafe(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_read(path: str) -> int:
    """Open a regular file for reading. Raises `OSError`, also when something else lies there."""
    descriptor = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "this is no regular file", path)
    return descriptor


def write(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`, or raise `OSError`."""
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Return up to `length` bytes from `offset` on. Raises `OSError`."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, length)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`, or raise `OSError`."""
    if hasattr(os, "pwrite"):
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)
    else:
        os.lseek(descriptor, offset, os.SEEK_SET)
        write(descriptor, data)


def truncate(descriptor: int, size: int) -> None:
    """Cut a file to `size` bytes, or lengthen it with zeros."""
    os.ftruncate(descriptor, size)


def allocate(descriptor: int, size: int) -> None:
    """Give a file `size` bytes that take up space from now on, or raise `OSError`.

    What is in it already stays; where the system cannot set blocks aside, zeros are written.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif (known := os.fstat(descriptor).st_size) < size:
        write_at(descriptor, bytes(size - known), known)


def free(directory: str) -> int:
    """Return the bytes that are free for this user; more than any disk has where the system does not tell."""
    if not hasattr(os, "statvfs"):
        return 1 << 62
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize


def sync(descriptor: int) -> None:
    """Wait until the file's bytes are on the medium. After an `OSError` nothing is known of them."""
    os.fsync(descriptor)


def sync_file(path: str) -> None:
    """Wait until the bytes of an existing file are on the medium, whoever wrote them. Raises `OSError`."""
    descriptor = open_shared(path, create=False)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: str, data: bytes, *, sync: bool = False) -> None:
    """Write a new file whole, or raise `OSError` and leave none; `sync` waits for the medium.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     create(os.path.join(place, "a"), b"one")
    ...     read(os.path.join(place, "a"))
    b'one'
    """
    descriptor = open_new(path)
    try:
        write(descriptor, data)
        if sync:
            os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        remove(path)
        raise
    os.close(descriptor)


def append(path: str, data: bytes, *, sync: bool = False) -> None:
    """Add `data` at the end in one write, creating the file when missing; raise `OSError` if it does not fit.

    A disk that fills up in the middle leaves a torn end, so readers go by complete lines.
    """
    descriptor = open_shared(path, append=True)
    try:
        written = os.write(descriptor, data)
        if written < len(data):
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes could be written", path)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: str) -> bytes:
    """Return the bytes of a regular file. Raises `OSError`."""
    return read_dated(path)[0]


def read_dated(path: str) -> tuple[bytes, int]:
    """Return the bytes of a regular file and its time of modification in microseconds. Raises `OSError`."""
    descriptor = os.open(path, _READ)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "this is no regular file", path)
        data = os.read(descriptor, facts.st_size + 1)
        if len(data) != facts.st_size:  # it grows meanwhile, or is larger than one read
            parts = [data]
            while parts[-1]:
                parts.append(os.read(descriptor, 1 << 20))
            data = b"".join(parts)
        return data, facts.st_mtime_ns // 1000
    finally:
        os.close(descriptor)


def date(path: str, moment: int) -> None:
    """Set a file's times to `moment`, in microseconds since 1970-01-01 UTC."""
    os.utime(path, ns=(moment * 1000, moment * 1000))


def rename(source: str, target: str) -> None:
    """Give a file its name in one step, replacing what had it."""
    os.replace(source, target)


def link(source: str, target: str) -> None:
    """Give a file a second name, which must be free; where the file system has no such thing, copy it."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNLINKABLE:
            raise
        fresh = target + ".part"
        remove(fresh)
        create(fresh, read(source), sync=True)
        rename(fresh, target)


def remove(path: str) -> None:
    """Remove a file; a missing one is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_dir(path: str) -> bool:
    """Remove a directory if it is empty and tell whether it is gone now."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def make_dirs(path: str) -> None:
    """Make a directory and its missing parents, each 0700; an existing one is fine."""
    for left in range(_REMOVED_MEANWHILE, -1, -1):
        try:
            os.mkdir(path, _DIRECTORY)
            if os.name == "posix" and stat.S_IMODE(os.stat(path).st_mode) & _DIRECTORY != _DIRECTORY:
                os.chmod(path, _DIRECTORY)  # the umask took bits that the owner needs
        except FileExistsError:
            if not os.path.isdir(path):
                if left and not os.path.lexists(path):
                    continue
                raise NotADirectoryError(errno.ENOTDIR, "a file is in the way of a directory", path) from None
        except FileNotFoundError:  # of the directory itself, too, when it is gone before it is looked at
            parent = os.path.dirname(path)
            if not parent or parent == path or not left:
                raise
            make_dirs(parent)
            continue
        return


def must_not_lead_away(root: str, directory: str) -> None:
    """Raise `OSError` when a directory, or one between it and `root`, is a symbolic link.

    >>> must_not_lead_away("/", "/proc/self/fd")
    Traceback (most recent call last):
    ...
    OSError: [Errno 40] a symbolic link stands in the place of a directory of the store: '/proc/self'
    """
    while len(directory) > len(root):
        try:
            linked = stat.S_ISLNK(os.lstat(directory).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            linked = False
        if linked:
            sentence = "a symbolic link stands in the place of a directory of the store"
            raise OSError(errno.ELOOP, sentence, directory)
        directory = os.path.dirname(directory)


def sync_dir(path: str) -> None:
    """Wait until the directory's entries are on the medium (Windows offers no such thing)."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_unsafe(facts: os.stat_result, path: str) -> None:
    """Raise `UnsafeStoreError` for what belongs to another user, or what every user may write to.

    Root is trusted: it needs no store to do harm. A group is, too: sharing with one is something that
    somebody has set up. Where the system knows neither, all is well.
    """
    if os.name != "posix":
        return
    runs = os.geteuid()
    if facts.st_uid not in (runs, 0):
        raise UnsafeStoreError(
            errno.EPERM,
            f"this belongs to user {facts.st_uid}, and user {runs} runs this: the owner could read and alter "
            "what is stored, and would be locked out by your files; run this as the owner "
            f"(`sudo -u '#{facts.st_uid}' ...`), or make it yours with `chown -R {runs}`",
            path,
        )
    if facts.st_mode & stat.S_IWOTH:
        raise UnsafeStoreError(
            errno.EPERM,
            "every user of this machine may write to this, so nobody can tell who has; look at what is "
            "there, and then close it with `chmod o-w`",
            path,
        )


def refuse_unsafe_root(path: str) -> None:
    """Raise `UnsafeStoreError` for a root that others own or may write to, and for a link; none is fine.

    Links above it are followed, as in every path: who can change those can change the whole path.
    """
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(facts.st_mode):
        sentence = "this is a symbolic link, which could be turned elsewhere; name what it leads to"
        raise UnsafeStoreError(errno.ELOOP, sentence, path)
    refuse_unsafe(facts, path)


def _restricted(descriptor: int, path: str) -> int:
    """Return the descriptor of a regular file of ours with the mode it must have, or close it and raise."""
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "this is no regular file", path)
        if os.name == "posix" and (facts.st_mode & 0o777 != _FILE or facts.st_uid != os.geteuid()):
            if facts.st_uid == os.geteuid():
                os.fchmod(descriptor, _FILE)
            else:
                refuse_unsafe(facts, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
