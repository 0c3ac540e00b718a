//go:build cgo

// Package clustergossip makes a program a member of a cluster: it knows who is there, publishes small pieces of its own state,
// reads everybody's, and is told of changes. There is no server.
//
//	node, err := clustergossip.Open(clustergossip.Config{"cluster": "shop", "seeds": "10.0.0.1:4711"})
//	if err != nil {
//		return err
//	}
//	defer node.Close()
//	node.Set("load", clustergossip.Float(0.7))
//	entries, err := node.Get("load") // member id -> Entry
//
// The protocol is in the native library libcluster_gossip, which programs in C, C++, C#, Python and Rust load too: all of
// them are members of one cluster and read each other's values as their own language's types.
//
// # Building
//
// The package needs cgo. By default it asks pkg-config for cluster_gossip; with the build tag gossip_static it links
// lib/<os>_<arch>/libcluster_gossip.a beside its sources.
//
// # Goroutines
//
// Every function and method may be called from any goroutine, unless it says otherwise. Only methods that take a context and
// [Node.Close] wait, and no wait holds an operating system thread. The library never calls into Go.
//
// # Changes
//
// Each subscription has a queue of its own in the library. There the changes of one key are drawn together and counted as long
// as nobody takes them: a slow reader loses nothing, holds nobody up, and costs at most the size of the state. One goroutine for the
// whole process waits, with epoll, for any of the queues to have something, and wakes its reader.
package clustergossip
