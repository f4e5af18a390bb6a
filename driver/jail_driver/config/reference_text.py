"""The prose of the reference page of parameters."""

from __future__ import annotations

INTRODUCTION = """\
# Parameters

This page is made from the driver's own table by `python -m jail_driver.config.reference`; a test fails when they
differ. Every parameter of jail(8) is here, with what the driver does about it, and every resource of rctl(8).

## How to write them

- Keys are those of jail(8), with a capital letter and `_` for the dot: `allow.raw_sockets` is
  `Allow_raw_sockets`.
- HCL refuses a key that is written twice. Several commands, addresses, interfaces or mounts are a list:
  `Exec_prestart = ["logger starting", "/usr/share/examples/jails/jib addm web em1"]`.
- `true` turns a parameter on, `false` turns it off, even if it is on by default (`allow.noset_hostname`).
  Numbers may be written as text and text that is a number as a number.
- Commands are run as jail(8) runs them: without a shell, split at blanks, unless they hold one of
  ``! " $ & ' ( ) * ; < > ? [ \\ ] ` { | } ~``; then through `/bin/sh -c`.
- Nomad itself replaces `${…}` and `%{…}`, twice. `$HOME` reaches the shell as it is; for `${HOME}` write
  `$$${HOME}`, for `%{x}` write `%%%{x}`.
- Everything is checked before anything happens, and one answer names all mistakes.
- *Permission*: under a strict policy the operator must list the parameter in `allow_parameters`, the hook in
  `allow_hooks`. Paths, interfaces and addresses have options of their own, see the end of this page.
"""

RCTL = """\
## Limits: `Rctl`

```hcl
Rctl = {
  Vmemoryuse = { Action = "deny", Amount = "1G", Per = "process" }
  Maxproc    = [{ Action = "deny", Amount = 50 }, { Action = "log", Amount = 40 }]
}
```

`Rctl { Vmemoryuse { … } }` means the same. `Amount` is a whole number with K, M, G, T, P or E (powers of 1024)
behind it if wanted. The rules are placed before the jail exists and removed at the end. Limits need
`kern.racct.enable=1` in /boot/loader.conf.
"""

FROM_THE_GO_DRIVER = """\
## Coming from the Go driver

Jobs written for the Go driver of the same name keep working, with these differences:

| There | Here |
| --- | --- |
| `Exec_prestop`, `Exec_stop`, `Exec_poststop` never ran, `Exec_poststart` was lost | they run |
| parameters such as `Allow_mlock`, `Allow_mount_devfs`, `Allow_quotas`, `Ip6`, `Exec_fib`, `Mount_fdescfs` were lost | they work |
| a text of one character (`Devfs_ruleset = "4"`) was lost | it works |
| nothing could be turned off | `Allow_set_hostname = false` |
| `Vnet` was on whatever its value | `false` and `"inherit"` mean what they say |
| `Persist` was dropped beside `Exec_start` | the task then outlives main's success |
| `Mount` could not be read | one line of fstab(5), or a list |
| a limit without `Per` could lose its amount; limits stayed behind | `Per` is optional, the rules go with the task |
| `Rctl = { Vmemoryuse = 1200000 }` in an example | refused: write `Action` and `Amount` |
| `Stop_timeout` had no effect | the grace wherever Nomad gives none; a stop by Nomad uses `kill_timeout` |
| `Exec_timeout` | limits each hook, never main |
| `Ip_hostname`, `Mount_fstab` | looked up once, at start; what was found is what gets undone |
| `Children_cur` was passed on | refused: the kernel keeps it read-only |
| `Depend` | refused: Nomad's jails are not in jail.conf(5) |
| `Docker` | refused: unpack the image and name it in `Path` |
| the jail's name was task and allocation | made from Nomad's task id; see `state-dump` |
"""
