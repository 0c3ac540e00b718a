//go:build !cgo

package clustergossip

// Without cgo this is the only file of the package, so that this is the one error of the build.
var _ int = "clustergossip calls a C library: build with CGO_ENABLED=1 and a C compiler (CC)"
