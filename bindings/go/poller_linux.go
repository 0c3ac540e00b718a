//go:build cgo

package clustergossip

import (
	"fmt"
	"sync"
	"syscall"
)

// bell rings when a queue has something, after arm was called.
type bell struct {
	fd    int
	ready chan struct{}
}

// poller is the one goroutine of the process that waits, for all queues at once. It takes nothing from a queue, but wakes
// the queue's reader: so no reader can hold another one up, and what is not read stays in its queue, where it is drawn together.
type poller struct {
	epoll int
	mu    sync.Mutex
	bells map[int]*bell
}

var pollers struct {
	mu  sync.Mutex
	one *poller
}

// thePoller starts the poller when it is first needed. It stays: it costs one thread, which sleeps.
func thePoller() (*poller, error) {
	pollers.mu.Lock()
	defer pollers.mu.Unlock()
	if pollers.one == nil {
		epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return nil, newError(ErrNoResources, fmt.Sprintf("epoll_create1: %v", err))
		}
		pollers.one = &poller{epoll: epoll, bells: map[int]*bell{}}
		go pollers.one.run()
	}
	return pollers.one, nil
}

func (p *poller) run() {
	var events [64]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(p.epoll, events[:], -1)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			// Only if somebody closed the descriptor: silence for ever would be the worse end.
			panic(fmt.Sprintf("clustergossip: epoll_wait: %v", err))
		}
		p.mu.Lock()
		for _, event := range events[:n] {
			// It may have been removed meanwhile.
			if b := p.bells[int(event.Fd)]; b != nil {
				b.ring()
			}
		}
		p.mu.Unlock()
	}
}

// newBell makes the bell of a queue; nil where queues have no descriptor.
func newBell(queue queueID) (*bell, error) {
	fd, err := queue.fd()
	if err != nil || fd < 0 {
		return nil, err
	}
	p, err := thePoller()
	if err != nil {
		return nil, err
	}
	b := &bell{fd: fd, ready: make(chan struct{}, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	event := syscall.EpollEvent{Events: oneShot, Fd: int32(fd)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		return nil, newError(ErrNoResources, fmt.Sprintf("epoll_ctl: %v", err))
	}
	p.bells[fd] = b
	return b, nil
}

// One ring each time it is armed: the descriptor stays readable as long as the queue has something, and would ring without end.
const oneShot = 1 << 30 // EPOLLONESHOT

func (b *bell) ring() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// arm has the bell ring once as soon as the queue has something, also if it has so now. False: it was removed.
func (b *bell) arm() bool {
	p := pollers.one
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bells[b.fd] != b {
		return false
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | oneShot, Fd: int32(b.fd)}
	return syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_MOD, b.fd, &event) == nil
}

// remove must come before the queue is freed, which closes the descriptor.
func (b *bell) remove() {
	p := pollers.one
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bells[b.fd] == b {
		delete(p.bells, b.fd)
		// It fails only where the descriptor is gone, and then it is out of epoll already.
		_ = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, b.fd, nil)
	}
}
