//go:build cgo && !linux

package clustergossip

// bell exists on Linux only: elsewhere queues have no descriptor to wait on, and readers wait in short native calls.
type bell struct {
	ready chan struct{}
}

func newBell(queueID) (*bell, error) { return nil, nil }
func (*bell) arm() bool              { return false }
func (*bell) remove()                {}
