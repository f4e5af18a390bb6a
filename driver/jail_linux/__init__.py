"""FreeBSD's jail commands as small Linux programs: the embedded default where there is no FreeBSD."""
