module github.com/cluster-gossip/cluster-gossip/bindings/go

go 1.24
