module demo

go 1.24

require github.com/cluster-gossip/cluster-gossip/bindings/go v0.1.0

replace github.com/cluster-gossip/cluster-gossip/bindings/go => ../../../bindings/go
