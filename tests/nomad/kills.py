"""Who dies under a running task: the plugin, the agent, both, or nobody but in good order."""

from __future__ import annotations

from nomad.agent import Agent
from nomad.system import eventually

_NOT_YET = "cannot look for a task that Nomad asks for"


def kill_plugin(agent: Agent) -> None:
    """Only the plugin dies; the agent starts another."""
    old = agent.kill_plugin()
    eventually("another plugin", lambda: [pid for pid in agent.plugin_pids() if pid != old])


def kill_agent(agent: Agent) -> None:
    """Only the agent dies: the plugin lives on, with a broken stderr, and is reattached."""
    agent.kill()
    agent.start()


def kill_both(agent: Agent) -> None:
    """Both die at once."""
    plugin = agent.plugin_pid()
    agent.kill()
    agent.end(plugin)
    agent.start()


def restart_agent(agent: Agent) -> None:
    """The service manager restarts the agent, which ends its plugin."""
    agent.stop()
    agent.start()


def restart_without_tools(agent: Agent) -> None:
    """Restart the agent on a host whose tools come later, as a file system that is mounted late would."""
    tools, aside = agent.base / "tools", agent.base / "tools-aside"
    agent.stop()
    tools.rename(aside)
    seen = agent.log().count(_NOT_YET)
    agent.start()
    eventually("the agent asked for the task", lambda: agent.log().count(_NOT_YET) > seen)
    aside.rename(tools)
