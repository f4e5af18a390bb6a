"""The stand-ins inside one unprivileged user namespace: no root, no package but Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from standins.toolbox import DRIVER

_UID = 65534
_SCRIPT = r"""
set -eu
PATH=$1/t:$PATH; cd $1
mkdir low low/local low/dev low/proc low/tmp v x
mount -t nullfs $1/low $1/v
mount -t nullfs -o ro /usr $1/v/local
! touch v/local/x 2>/dev/null
mount -t devfs devfs $1/v/dev
echo x >v/dev/null
mount -t procfs proc $1/v/proc
mount -t tmpfs tmpfs $1/v/tmp
! umount $1/v 2>err; grep -q 'Device busy' err
mount -t nullfs / $1/x
echo mounts: $(mount | grep -c "on $1/")
jail -c name=j path=$1/x persist host.hostname=inner
echo host: $(jexec j cat /proc/sys/kernel/hostname)
jexec -U root j /bin/sh -c 'echo user: $USER $(id -u)'
jexec j /bin/sh -c 'exit 7' || echo status: $?
jexec j sleep 60 & main=$!
while ! pgrep -q -j j sleep; do :; done
echo member: $(test $(pgrep -j j) = $main && echo same)
! umount $1/x 2>err; grep -q 'Device busy' err
pkill -9 -j j; { wait $main; } 2>/dev/null || echo killed: $?
jail -R j; echo jails: $(jls -d | wc -l)
umount $1/x
for place in tmp proc dev local; do umount $1/v/$place; done
umount $1/v
jail -c name=v path=/ persist vnet
echo links: $(jexec v ifconfig -l) $(ifconfig -j v -l)
ifconfig -j v lo0 inet 127.0.0.9 alias
jail -R v; jls -d >/dev/null
rctl -a jail:j:maxproc:deny=9; rctl; rctl -r jail:j
! ifconfig lo0 inet 127.0.0.9 alias 2>err; cat err
echo compiled: $(find $1/t/cache -name 'jexec*.pyc' | wc -l)
echo left: $(grep -c " $1/" /proc/self/mountinfo)
"""
_WANTED = """\
mounts: 6
host: inner
user: root 0
status: 7
member: same
killed: 137
jails: 1
links: lo0 lo0
jail:j:maxproc:deny=9
ifconfig: ioctl (SIOCAIFADDR): Operation not permitted
compiled: 1
left: 0
"""


def _unshare(*words: str) -> list[str]:
    drop = ["setpriv", f"--reuid={_UID}", f"--regid={_UID}", "--clear-groups"] if os.geteuid() == 0 else []
    return [*drop, "unshare", "-Urm", *words]


def _interpreter() -> str:
    """An interpreter that the unprivileged user may start; the one that runs the tests may be in root's home."""
    own = getattr(sys, "_base_executable", "") or sys.executable
    for path in (own, "/usr/bin/python3", "/usr/local/bin/python3"):
        check = _unshare(path, "-I", "-S", "-c", "import sys; assert sys.version_info >= (3, 11)")
        if Path(path).exists() and subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return path
    return ""


def _reason() -> str:
    """Why an unprivileged user cannot have a user namespace here; empty if it can."""
    if shutil.which("unshare") is None:
        return "needs unshare(1)"
    done = subprocess.run(_unshare("true"), capture_output=True, text=True, check=False)
    if done.returncode:
        return f"needs user namespaces: {done.stderr.strip()}"
    return "" if _interpreter() else f"needs a Python >= 3.11 that uid {_UID} may start"


def test_everything_that_can_be_kept(work: Path) -> None:
    """Views, devices, a jail, its processes and its network, without any privilege outside."""
    if reason := _reason():
        pytest.skip(reason)
    package = work / "driver"
    shutil.copytree(
        DRIVER / "jail_linux", package / "jail_linux", ignore=shutil.ignore_patterns("__pycache__")
    )
    if os.geteuid() == 0:
        os.chown(work, _UID, _UID)
    setup = f'"$2" -I -S "$3/jail_linux/install.py" "$1/t"\n{_SCRIPT}'
    done = subprocess.run(
        _unshare("/bin/sh", "-c", setup, "sh", str(work), _interpreter(), str(package)),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (_WANTED, "")
    assert done.returncode == 0
