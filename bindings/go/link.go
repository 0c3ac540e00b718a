//go:build cgo

package clustergossip

// By default the installed library, through pkg-config. With the tag gossip_static what static-lib.sh puts into lib.

// #cgo !gossip_static pkg-config: cluster_gossip
// #cgo gossip_static CFLAGS: -I${SRCDIR}/lib/include
// #cgo gossip_static,linux,amd64 LDFLAGS: ${SRCDIR}/lib/linux_amd64/libcluster_gossip.a
// #cgo gossip_static,linux,arm64 LDFLAGS: ${SRCDIR}/lib/linux_arm64/libcluster_gossip.a
// #cgo gossip_static,darwin,amd64 LDFLAGS: ${SRCDIR}/lib/darwin_amd64/libcluster_gossip.a
// #cgo gossip_static,darwin,arm64 LDFLAGS: ${SRCDIR}/lib/darwin_arm64/libcluster_gossip.a
// #cgo gossip_static,linux LDFLAGS: -lgcc_s -lutil -lrt -lpthread -lm -ldl
import "C"
