# Loopback has to be advertised by hand; fingerprints of clouds would look for addresses outside.
name = "test"
region = "global"
datacenter = "dc1"
bind_addr = "127.0.0.1"
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}
data_dir = "@BASE@/data"
plugin_dir = "@BASE@/plugins"
log_level = "DEBUG"
disable_update_check = true
server {
  enabled          = true
  bootstrap_expect = 1
  raft_multiplier  = 1
}
# A hundred command lines at once are more than an agent takes from one address by itself.
limits {
  http_max_conns_per_client = 500
}
# Without it the agent asks no driver for a task's figures (stats_hook.go).
telemetry {
  publish_allocation_metrics = true
}
client {
  enabled           = true
  gc_max_allocs     = 10000 # what ended tasks left is looked at
  network_interface = "lo"
  options {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean,consul,vault,cni,bridge"
    "driver.allowlist"     = "jail-task-driver"
  }
}
plugin "jail-task-driver" {
  config {
    state_dir  = "@BASE@/state"
    jail_tools = "@BASE@/tools"
    @OPTIONS@
  }
}
