"""mount and umount: views, their errors, and who holds them."""

import json
import subprocess
from pathlib import Path

import pytest

from standins.toolbox import Toolbox


@pytest.fixture
def tree(tools: Toolbox) -> Toolbox:
    """A lower directory `low` with a few names in it, and two empty places `v1` and `v2`."""
    for name in ("low/local", "low/tmp", "low/dev", "low/proc", "v1", "v2", "other"):
        (tools.work / name).mkdir(parents=True, exist_ok=True)
    (tools.work / "low/local/low").touch()
    (tools.work / "other/mine").touch()
    (tools.work / "low/file").write_text("f0\n", encoding="utf-8")
    (tools.work / "a_file").write_text("f\n", encoding="utf-8")
    return tools


class TestViews:
    """nullfs: one lower directory, several views, each with mounts of its own."""

    def test_what_is_mounted_in_a_view_stays_there(self, tree: Toolbox) -> None:
        """A mount inside one view is seen neither in the lower directory nor in another view."""
        tree.ok("mount -t nullfs $PWD/low $PWD/v1; mount -t nullfs $PWD/low $PWD/v2")
        tree.ok("mount -t nullfs $PWD/other $PWD/v1/local")
        assert tree.ok("ls v1/local v2/local low/local").split() == [
            "low/local:", "low", "v1/local:", "mine", "v2/local:", "low"]  # fmt: skip
        tree.ok("umount $PWD/v1/local; umount $PWD/v1; umount $PWD/v2")

    def test_a_file_over_a_file(self, tree: Toolbox) -> None:
        """A single file can be shown at another's place."""
        tree.ok("mount -t nullfs $PWD/low $PWD/v1; mount -t nullfs $PWD/a_file $PWD/v1/file")
        assert tree.ok("cat v1/file low/file") == "f\nf0\n"

    def test_read_only(self, tree: Toolbox) -> None:
        """-o ro refuses writing through the view, and says so in every form of the table."""
        tree.ok("mount -t nullfs -o ro $PWD/low $PWD/v1")
        assert "Read-only file system" in tree.sh("touch v1/x").err
        work = tree.work
        assert tree.ok("mount | grep $PWD/v1") == f"{work}/low on {work}/v1 (nullfs, local, read-only)\n"
        assert tree.ok("mount -p | grep $PWD/v1").split() == [
            f"{work}/low",
            f"{work}/v1",
            "nullfs",
            "ro",
            "0",
            "0",
        ]
        tree.ok("touch low/x")

    def test_it_is_not_recursive(self, tree: Toolbox) -> None:
        """What is mounted below the lower directory is not seen through the view."""
        tree.ok(
            "mount -t tmpfs tmpfs $PWD/low/tmp; touch $PWD/low/tmp/hidden; mount -t nullfs $PWD/low $PWD/v1"
        )
        assert tree.ok("ls v1/tmp") == ""

    def test_later_mounts_are_seen_inside(self, tree: Toolbox) -> None:
        """A jail sees what the host mounts below its root after its creation."""
        tree.ok("mount -t nullfs / $PWD/v1; jail -c name=jl1 path=$PWD/v1 persist")
        tree.ok("mount -t tmpfs tmpfs $PWD/v1/mnt; touch $PWD/v1/mnt/later")
        assert tree.ok("jexec jl1 ls /mnt") == "later\n"


# script, status, errors; W stands for the work directory
NO_SUCH = "umount: W/nosuch: statfs: No such file or directory\numount: W/nosuch: unknown file system\n"
REFUSALS = [
    ("mount -t nullfs W/low W/v1; mount -t nullfs W/v1/local W/v1/local", 1,
     "mount_nullfs: W/v1/local: Resource deadlock avoided\n"),
    ("mount -t nullfs W/low W/v1; mount -t nullfs W/low/local W/v1/local", 1,
     "mount_nullfs: W/v1/local: Resource deadlock avoided\n"),
    ("mount -t nullfs W/low W/v1; mount -t nullfs W/low W/v1", 1,
     "mount_nullfs: W/v1: Resource deadlock avoided\n"),
    ("mount -t nullfs W/low W/nosuch", 1, "mount: W/nosuch: No such file or directory\n"),
    ("mount -t nullfs /nosuch W/v1", 64, "mount_nullfs: /nosuch: No such file or directory\n"),
    ("mount -t tmpfs tmpfs W/nosuch", 1, "mount: W/nosuch: No such file or directory\n"),
    ("mount -t nosuch a W/v1", 1, "mount: a: Invalid fstype: Invalid argument\n"),
    ("mount -t tmpfs -o bogus=1 tmpfs W/v1", 1, "mount: tmpfs: mount option <bogus> is unknown: Invalid argument\n"),
    ("umount W/v1", 1, "umount: W/v1: not a file system root directory\n"),
    ("umount W/nosuch", 1, NO_SUCH),
    ("umount -f W/nosuch", 1, NO_SUCH),
]  # fmt: skip


@pytest.mark.parametrize(("script", "status", "err"), REFUSALS, ids=[row[0][:70] for row in REFUSALS])
def test_refusals(tree: Toolbox, script: str, status: int, err: str) -> None:
    """Each refusal has FreeBSD's status and words, and leaves no mount behind that was not there."""
    said = tree.sh(script.replace("W", str(tree.work)))
    assert said == (status, "", err.replace("W", str(tree.work)))


class TestBusy:
    """Who keeps a file system from being unmounted."""

    def test_another_mount(self, tree: Toolbox) -> None:
        """A mount below holds it."""
        tree.ok("mount -t nullfs $PWD/low $PWD/v1; mount -t nullfs $PWD/other $PWD/v1/local")
        said = tree.sh("umount $PWD/v1")
        assert said == (1, "", f"umount: unmount of {tree.work}/v1 failed: Device busy\n")

    def test_a_process(self, tree: Toolbox) -> None:
        """A working directory inside holds it."""
        tree.ok("mount -t tmpfs -o size=1m,mode=700 tmpfs $PWD/v1")
        assert tree.sh("cd v1; umount $PWD").status == 1
        tree.ok("umount $PWD/v1")

    def test_a_jailed_process(self, tree: Toolbox) -> None:
        """A process rooted in it holds it; -f takes it off all the same."""
        tree.ok("mount -t nullfs / $PWD/v1; jail -c name=jl1 path=$PWD/v1 persist")
        child = tree.start("jexec", "jl1", "/bin/sh", "-c", "echo x; exec sleep 60", stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        assert tree.sh("umount $PWD/v1").err == f"umount: unmount of {tree.work}/v1 failed: Device busy\n"
        tree.ok("umount -f $PWD/v1")
        assert tree.sh(f"mount | grep {tree.work}/v1").status == 1
        child.kill()
        child.communicate()

    def test_an_empty_jail(self, tree: Toolbox) -> None:
        """A jail without a process holds its root, however deep below the mount it is."""
        tree.ok("mount -t nullfs $PWD/low $PWD/v1; jail -c name=jl1 path=$PWD/v1/local persist")
        assert "Device busy" in tree.sh("umount $PWD/v1").err
        tree.ok("jail -R jl1; umount $PWD/v1")

    def test_right_after_removal(self, tree: Toolbox) -> None:
        """Once jail -R has removed a jail with processes inside, its root can be unmounted."""
        tree.ok("mount -t nullfs / $PWD/v1; jail -c name=jl1 path=$PWD/v1 persist")
        child = tree.start(
            "jexec", "jl1", "/bin/sh", "-c", "cd /bin; echo x; exec sleep 60", stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        tree.ok("jail -R jl1; umount $PWD/v1")
        child.communicate()


class TestTable:
    """The mount table and file system ids."""

    def test_unmount_by_fsid(self, tree: Toolbox) -> None:
        """Umount takes the 16 digits that mount -v shows; the same digits work once."""
        tree.ok("mount -t nullfs $PWD/low $PWD/v1; mount -t nullfs $PWD/low $PWD/v2")
        table = json.loads(tree.ok("mount --libxo json -v"))["mount"]["mounted"]
        ids = {Path(row["node"]).name: row["fsid"] for row in table if row["node"].startswith(str(tree.work))}
        assert sorted(map(len, ids.values())) == [16, 16]
        tree.ok(f"umount {ids['v1']}")
        assert tree.sh(f"umount {ids['v1']}").status == 1
        assert tree.ok("mount | grep -c $PWD") == "1\n"
        tree.ok(f"umount {ids['v2']}")

    def test_a_covered_mount_stays(self, tree: Toolbox) -> None:
        """By its fsid only that very mount is taken off, never the one that covers it."""
        tree.ok("mount -t nullfs $PWD/low $PWD/v1")
        [lower] = _fsids(tree)
        tree.ok("mount -t nullfs $PWD/other $PWD/v1")
        assert "Device busy" in tree.sh(f"umount {lower}").err
        assert tree.ok("ls v1") == "mine\n"

    def test_json(self, standins: Toolbox) -> None:
        """The JSON form is libxo's layout to the byte."""
        standins.ok(
            "mkdir low v1; mount -t nullfs -o ro $PWD/low $PWD/v1; mkdir t; mount -t tmpfs tmpfs $PWD/t"
        )
        work = standins.work
        text = standins.ok("mount --libxo json")
        assert text.startswith('{"mount": {"mounted": [{"special":')
        assert text.endswith(
            f'{{"special":"{work}/low","node":"{work}/v1","fstype":"nullfs", "opts": ["local", "read-only"]}}, '
            f'{{"special":"tmpfs","node":"{work}/t","fstype":"tmpfs", "opts": ["local"]}}]}}}}\n'
        )

    def test_an_unnoted_view_is_worked_out(self, standins: Toolbox) -> None:
        """A bind mount that no stand-in noted (its maker was killed in between) still shows as what it is."""
        standins.ok("mkdir low v1; /bin/mount --bind low v1")
        assert (
            standins.ok("mount | grep $PWD/v1")
            == f"{standins.work}/low on {standins.work}/v1 (nullfs, local)\n"
        )
        standins.ok("umount $PWD/v1")

    def test_names_with_blanks(self, standins: Toolbox) -> None:
        """A blank in a path is a blank in the table, and written as fstab needs it by -p."""
        standins.ok("mkdir 'a b' 'c d'; mount -t nullfs \"$PWD/a b\" \"$PWD/c d\"")
        assert f"{standins.work}/a b on {standins.work}/c d (nullfs, local)\n" in standins.ok("mount")
        assert f"{standins.work}/a\\040b" in standins.ok("mount -p")
        standins.ok('umount "$PWD/c d"')


class TestDevices:
    """devfs, fdescfs, procfs."""

    def test_devfs(self, tree: Toolbox) -> None:
        """A small /dev whose nodes work, one mount in the table."""
        tree.ok("mount -t devfs devfs $PWD/v1; echo x > $PWD/v1/null")
        names = set(tree.ok("ls v1").split())
        assert {"null", "zero", "random", "urandom", "fd", "stdin", "stdout", "stderr"} <= names
        assert tree.ok("head -c 2 v1/zero | od -An -tx1") == " 00 00\n"
        assert tree.ok("echo out | tee v1/stderr >v1/null 2>&1; mount | grep -c $PWD/v1") == "1\n"
        tree.ok("umount $PWD/v1")

    def test_devfs_in_use(self, standins: Toolbox) -> None:
        """An open device holds it; a refused unmount leaves it whole."""
        standins.ok("mkdir v1; mount -t devfs devfs $PWD/v1")
        assert "Device busy" in standins.sh("exec 5<v1/null; umount $PWD/v1").err
        standins.ok("readlink -e v1/fd/0; umount $PWD/v1")

    def test_fdescfs_below_devfs(self, tree: Toolbox) -> None:
        """Fdescfs goes on a devfs and shows the reader's own descriptors."""
        tree.ok("mount -t devfs devfs $PWD/v1; mount -t fdescfs fdescfs $PWD/v1/fd")
        assert tree.ok("exec 5<a_file; cat v1/fd/5") == "f\n"
        assert "Device busy" in tree.sh("umount $PWD/v1").err
        tree.ok("umount $PWD/v1/fd; umount $PWD/v1")

    def test_standard_output_inside_a_jail(self, tree: Toolbox) -> None:
        """A jailed program reopens /dev/stdout, with no procfs in its root."""
        tree.ok("mount -t nullfs / $PWD/v1; mount -t devfs devfs $PWD/v1/dev")
        tree.ok("jail -c name=jl1 path=$PWD/v1 persist")
        assert tree.ok("jexec jl1 /bin/sh -c 'echo hello >>/dev/stdout' | cat") == "hello\n"

    def test_procfs_and_its_kin(self, tree: Toolbox) -> None:
        """Each is one mount of its own name."""
        tree.ok("mount -t procfs proc $PWD/v1; mount -t tmpfs -o size=1m tmpfs $PWD/v2")
        kinds = [
            line.split("(")[1].rstrip(")").split(",")[0] for line in tree.ok("mount | grep $PWD").splitlines()
        ]
        assert kinds == ["procfs", "tmpfs"]
        assert tree.sh("dd if=/dev/zero of=v2/f bs=1024 count=3000").status == 1


def _fsids(tools: Toolbox) -> list[str]:
    table = json.loads(tools.ok("mount --libxo json -v"))["mount"]["mounted"]
    return [row["fsid"] for row in table if row["node"].startswith(str(tools.work))]
