"""The Nomad side: plugin, RPCs, steps, host adapters, supervisor.

Kept empty of imports: the supervisor and its fork helper load modules of this package without gRPC or
SQLAlchemy.
"""
