"""Pure: lifecycle, events, decisions. No I/O, no clock."""
