module github.com/cluster-gossip/cluster-gossip/bindings/go/pb

go 1.24

require (
	github.com/cluster-gossip/cluster-gossip/bindings/go v0.1.0
	google.golang.org/protobuf v1.36.11
)

replace github.com/cluster-gossip/cluster-gossip/bindings/go => ../
