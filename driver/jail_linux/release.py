"""The FreeBSD that the stand-ins speak for: one place for what sysctl, uname and jail parameters tell."""

OSRELEASE = "15.1-RELEASE"
OSRELDATE = 1501000
OSTYPE = "FreeBSD"
