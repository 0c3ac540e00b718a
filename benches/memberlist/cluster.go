package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// counted is memberlist's own transport, with the payload it sends counted.
type counted struct {
	*memberlist.NetTransport
	sent    *atomic.Int64
	streams chan net.Conn
	stop    chan struct{}
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func newCounted(sent *atomic.Int64) (*counted, error) {
	var inner *memberlist.NetTransport
	var err error
	// The port that is free for TCP may be taken for UDP.
	for range 50 {
		inner, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{"127.0.0.1"},
			Logger:    log.New(io.Discard, "", 0),
		})
		if err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	t := &counted{NetTransport: inner, sent: sent, streams: make(chan net.Conn), stop: make(chan struct{})}
	go func() {
		for {
			select {
			case conn := <-inner.StreamCh():
				select {
				case t.streams <- countedConn{conn, sent}:
				case <-t.stop:
					_ = conn.Close()
					return
				}
			case <-t.stop:
				return
			}
		}
	}()
	return t, nil
}

func (t *counted) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *counted) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	t.sent.Add(int64(len(b)))
	return t.NetTransport.WriteToAddress(b, addr)
}

func (t *counted) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (t *counted) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.NetTransport.DialAddressTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	return countedConn{conn, t.sent}, nil
}

func (t *counted) StreamCh() <-chan net.Conn {
	return t.streams
}

func (t *counted) Shutdown() error {
	err := t.NetTransport.Shutdown()
	close(t.stop)
	return err
}

// update is a user message: a number, then bytes that nobody looks at.
type update []byte

func (u update) Invalidates(memberlist.Broadcast) bool { return false }
func (u update) Message() []byte                       { return u }
func (u update) Finished()                             {}

type member struct {
	list    *memberlist.Memberlist
	name    string
	queue   *memberlist.TransmitLimitedQueue
	latest  atomic.Uint64
	crashed bool
}

func (m *member) NodeMeta(int) []byte             { return nil }
func (m *member) LocalState(bool) []byte          { return nil }
func (m *member) MergeRemoteState([]byte, bool)   {}
func (m *member) GetBroadcasts(o, l int) [][]byte { return m.queue.GetBroadcasts(o, l) }

func (m *member) NotifyMsg(message []byte) {
	number := binary.LittleEndian.Uint64(message)
	for {
		latest := m.latest.Load()
		if number <= latest {
			return
		}
		if m.latest.CompareAndSwap(latest, number) {
			break
		}
	}
	// The bytes are memberlist's again after this call.
	m.queue.QueueBroadcast(update(append([]byte(nil), message...)))
}

func (m *member) set(message []byte) {
	m.latest.Store(binary.LittleEndian.Uint64(message))
	m.queue.QueueBroadcast(update(message))
}

// misses tells whether m has taken the member of this name out of its live members.
func (m *member) misses(name string) bool {
	for _, node := range m.list.Members() {
		if node.Name == name {
			return false
		}
	}
	return true
}

type cluster struct {
	members []*member
	// Members that have not crashed.
	here   []*member
	number uint64
	sent   atomic.Int64
	size   atomic.Int64
}

// add opens a member that knows nobody yet.
func (c *cluster) add() (*member, error) {
	transport, err := newCounted(&c.sent)
	if err != nil {
		return nil, err
	}
	m := &member{name: fmt.Sprintf("node-%d", len(c.members))}
	config := memberlist.DefaultLANConfig()
	config.Name = m.name
	config.BindAddr = "127.0.0.1"
	config.BindPort = transport.GetAutoBindPort()
	config.AdvertisePort = config.BindPort
	config.Transport = transport
	config.LogOutput = io.Discard
	config.Delegate = m
	// Not asked of memberlist, which may hold its lock while it asks for broadcasts.
	m.queue = &memberlist.TransmitLimitedQueue{RetransmitMult: config.RetransmitMult, NumNodes: func() int { return int(c.size.Load()) }}
	if m.list, err = memberlist.Create(config); err != nil {
		return nil, err
	}
	c.size.Add(1)
	c.members = append(c.members, m)
	c.here = append(c.here, m)
	return m, nil
}

// join joins each of the members through the first one, at the same time.
func (c *cluster) join(members []*member) error {
	seed := []string{c.members[0].list.LocalNode().Address()}
	errs := make(chan error, len(members))
	// A member refuses more than 128 at a time.
	places := make(chan struct{}, 100)
	var all sync.WaitGroup
	for _, m := range members {
		all.Add(1)
		go func() {
			defer all.Done()
			places <- struct{}{}
			defer func() { <-places }()
			// As a program does whose seed is busy.
			var err error
			for range 20 {
				if _, err = m.list.Join(seed); err == nil {
					return
				}
			}
			errs <- err
		}()
	}
	all.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func (c *cluster) crash(m *member) {
	m.crashed = true
	c.size.Add(-1)
	_ = m.list.Shutdown()
}

func (c *cluster) close() {
	for _, m := range c.members {
		if !m.crashed {
			_ = m.list.Shutdown()
		}
	}
}
