# /etc/trent/node.hcl for the unit trent.service. docs/configuration.md explains every setting.
region   = "eu-central-1"
account  = "111122223333"
data_dir = "/var/lib/trent"

hsm "pkcs11" {
  module   = "/usr/lib/softhsm/libsofthsm2.so"
  token    = "trent"
  pin_file = "/etc/trent/hsm.pin"
}

listener "api" {
  address       = "0.0.0.0:7600"
  tls_cert_file = "/etc/trent/tls/cert.pem"
  tls_key_file  = "/etc/trent/tls/key.pem"
}

listener "ops" {
  address = "10.0.0.1:7601" # this node's own address
}

cluster {
  address   = "0.0.0.0:7602"
  advertise = "10.0.0.1:7602"
}

audit {
  dir = "/var/log/trent"
}

log {
  format = "json"
}
