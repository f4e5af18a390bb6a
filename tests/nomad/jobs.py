"""Job files of the tests, as an operator writes them."""

from __future__ import annotations


def job(name: str, *tasks: str, kind: str = "service") -> str:
    """Returns a job file with one group, whose tasks are neither restarted nor moved."""
    body = "\n".join(tasks)
    return f"""
job "{name}" {{
  type = "{kind}"
  group "g" {{
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    reschedule {{
      attempts  = 0
      unlimited = false
    }}
{body}
  }}
}}
"""


def task(config: str, name: str = "t", more: str = "") -> str:
    """Returns one task: ``config`` is the body of its config block, ``more`` stands beside it."""
    return f"""
    task "{name}" {{
      driver = "jail-task-driver"
{more}
      config {{
{config}
      }}
      resources {{
        cpu    = 20
        memory = 32
      }}
    }}
"""
