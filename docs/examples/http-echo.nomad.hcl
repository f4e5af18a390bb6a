# The first task of the driver's documentation. The root is a variable: a directory with the program in it.
#
#     make run
#     nomad job run -var root=/zroot/iocage/jails/myjail/root http-echo.nomad.hcl
#
# The address is one that every host has: an address that exists is used as it is, and neither added nor
# removed. With `em1|192.168.1.102` the driver would add it to em1 for the life of the task.

variable "root" {
  type = string
}

job "http-echo" {
  group "web" {
    task "http-echo-jail" {
      driver = "jail-task-driver"

      config {
        Path              = var.root
        Allow_raw_sockets = true
        Allow_chflags     = true
        Ip4_addr          = "127.0.0.1"
        Exec_start        = "/usr/local/bin/http-echo -listen 127.0.0.1:9999 -text hello"

        Rctl = {
          Vmemoryuse = {
            Action = "deny"
            Amount = "1G"
            Per    = "process"
          }
          Openfiles = {
            Action = "deny"
            Amount = "500"
          }
        }
      }
    }
  }
}
