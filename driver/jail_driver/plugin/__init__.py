"""What makes this program a go-plugin: handshake, standard services, serving."""
