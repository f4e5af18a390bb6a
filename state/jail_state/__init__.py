"""A task as a persisted state machine: pure core and event store. Knows nothing of Nomad or jails."""
