"""Who runs inside, with which environment: exact, and never in an argument list."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jail_driver.engine.environment import (
    ROOT,
    Account,
    RunAs,
    choose_user,
    inside_command,
    main_env,
    parse_passwd,
)
from jail_driver.errors import ConfigError

WWW = Account("www", 80, 80, "/nonexistent", "/usr/sbin/nologin")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with one account, a shell and a program."""
    for name in ("etc", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:*:0:0:r:/root:/bin/sh\nwww:*:80:80:w:/nonexistent:/usr/sbin/nologin\n"
    )
    for name in ("bin/sh", "bin/prog"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("user", ["", "root", "0", "0:0"])
def test_root_needs_no_flag(root: Path, user: str) -> None:
    """Plain jexec leaves the environment as it is."""
    assert choose_user(user, root, on_host=False) == RunAs(ROOT, "")


@pytest.mark.parametrize("user", ["www", "80", "80:80", "www:80"])
def test_the_jails_own_account_comes_first(root: Path, user: str) -> None:
    """By name, uid or uid:gid: jexec -U with the name."""
    assert choose_user(user, root, on_host=False) == RunAs(WWW, "-U")


def test_the_hosts_account_serves_a_root_without_it(root: Path) -> None:
    """Jexec -u: the uid is the host's."""
    found = choose_user("nobody", root, on_host=False)
    assert (found.account.name, found.flag) == ("nobody", "-u")
    assert choose_user("nobody", root, on_host=True) == found


def test_an_unknown_user_and_a_foreign_gid_are_refused_by_name(root: Path) -> None:
    """jexec(8) cannot be told a gid."""
    with pytest.raises(ConfigError, match='user = "ghost": no such user'):
        choose_user("ghost", root, on_host=False)
    with pytest.raises(ConfigError, match='user = "80:99": www has gid 80'):
        choose_user("80:99", root, on_host=False)


def test_nomads_environment_overlays_ours_exactly() -> None:
    """Four defaults, the rest is the job's."""
    env = main_env({"PATH": "/x", "A": "1"}, WWW)
    assert env == {
        "PATH": "/x",
        "HOME": "/nonexistent",
        "USER": "www",
        "SHELL": "/usr/sbin/nologin",
        "A": "1",
    }


def test_what_a_login_class_overwrites_is_put_back_inside(root: Path) -> None:
    """PATH, HOME and LANG are the job's again, what it did not set is gone, arguments pass untouched."""
    env = {"PATH": "/job/path:/bin", "HOME": "/job home", "LANG": "x'y\"z", "SECRET": "s3cret"}
    argv, carried = inside_command("jexec", 7, RunAs(WWW, "-U"), ["prog", "a b", "$X"], env, root)
    assert argv[:4] == ["jexec", "-U", "www", "7"]
    assert "s3cret" not in " ".join(argv)
    assert "job" not in " ".join(argv)
    overwritten = carried | {"PATH": "/login/class", "HOME": "/", "MAIL": "/var/mail/www", "BLOCKSIZE": "K"}
    script = argv[4:]
    script[-3:] = ["/usr/bin/env", "-0"]
    seen = subprocess.run(script, env=overwritten, capture_output=True, check=True).stdout.decode()
    shown = dict(line.split("=", 1) for line in seen.split("\0") if line)
    shown.pop("PWD", None)
    shown.pop("OLDPWD", None)
    shown.pop("_", None)
    assert shown == env


def test_a_missing_program_is_found_before_anything_runs(root: Path) -> None:
    """Jexec's own failure would be a plain status 1."""
    with pytest.raises(ConfigError, match='"/bin/nope": no such program in the jail'):
        inside_command("jexec", 7, RunAs(ROOT, ""), ["/bin/nope"], {}, root)
    with pytest.raises(ConfigError, match="not found in the jail's PATH /bin"):
        inside_command("jexec", 7, RunAs(ROOT, ""), ["nope"], {"PATH": "/bin"}, root)
    with pytest.raises(ConfigError, match=r'Exec_start = "exec": is built into sh\(1\), .*: end it with ";"'):
        inside_command("jexec", 7, RunAs(ROOT, ""), ["exec", "prog"], {"PATH": "/bin"}, root)


def test_a_user_needs_a_shell_and_is_told_so(root: Path) -> None:
    """Root does not."""
    (root / "bin/sh").unlink()
    with pytest.raises(ConfigError, match="the jail has no /bin/sh"):
        inside_command("jexec", 7, RunAs(WWW, "-U"), ["/bin/prog"], {}, root)
    assert inside_command("jexec", 7, RunAs(ROOT, ""), ["/bin/prog"], {"A": "1"}, root) == (
        ["jexec", "7", "/bin/prog"],
        {"A": "1"},
    )


def test_lines_that_are_no_accounts_are_passed_over() -> None:
    """Comments, NIS compat entries, damaged lines."""
    assert parse_passwd("# c\n+:::::::\nx:y\nwww:*:80:80:w:/nonexistent:/usr/sbin/nologin\n") == (WWW,)


def test_what_is_for_the_dynamic_linker_does_not_reach_the_host(tmp_path: Path) -> None:
    """jexec(8) is a program of the host, run by root: LD_ variables get their names back inside."""
    for name in ("prog", "sh"):
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.touch(0o755)
    env = {"LD_PRELOAD": "/x.so", "A": "1"}
    argv, carried = inside_command("jexec", 7, RunAs(ROOT, ""), ["/bin/prog"], env, tmp_path)
    assert argv[:4] == ["jexec", "7", "/bin/sh", "-c"]
    assert 'LD_PRELOAD="$JAIL_TASK_DRIVER_LD_PRELOAD"; export LD_PRELOAD' in argv[4]
    assert carried == {"A": "1", "JAIL_TASK_DRIVER_LD_PRELOAD": "/x.so"}
    (tmp_path / "bin/sh").unlink()
    with pytest.raises(ConfigError, match="env LD_PRELOAD: the jail has no /bin/sh"):
        inside_command("jexec", 7, RunAs(ROOT, ""), ["/bin/prog"], env, tmp_path)
