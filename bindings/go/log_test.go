package clustergossip_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

// recorder keeps the records that it is handed.
type recorder struct {
	mu      sync.Mutex
	records []slog.Record
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, record)
	return nil
}

// find looks for a record, and gives its attributes.
func (r *recorder) find(fits func(slog.Record) bool) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range r.records {
		if fits(record) {
			attributes := map[string]string{}
			record.Attrs(func(a slog.Attr) bool {
				attributes[a.Key] = a.Value.String()
				return true
			})
			return attributes
		}
	}
	return nil
}

func TestLogLines(t *testing.T) {
	name := cluster()
	node := open(t, cg.Config{"cluster": name, "id": "speaker", "log_level": "trace"})
	var log recorder
	ctx, cancel := context.WithCancel(context.Background())
	must(t, node.LogTo(ctx, slog.New(&log)))
	open(t, cg.Config{"cluster": name, "id": "joiner", "seeds": node.Address()})
	joined := func(record slog.Record) bool {
		return record.Level == slog.LevelInfo && strings.Contains(record.Message, "joiner")
	}
	until(t, "the joining is logged", func() bool {
		found := log.find(joined)
		return found != nil && found["node"] == "speaker" && found["target"] != ""
	})
	cancel()
}

func TestWarnings(t *testing.T) {
	node := open(t, cg.Config{"id": "warned"})
	var log recorder
	must(t, node.LogTo(patient(t), slog.New(&log)))
	// One of another cluster that takes this one for its seed: nothing else would tell.
	stranger := open(t, cg.Config{"seeds": node.Address()})
	until(t, "the warning is logged", func() bool {
		found := log.find(func(record slog.Record) bool {
			return record.Level == slog.LevelWarn && strings.Contains(record.Message, stranger.Address())
		})
		return found != nil && found["node"] == "warned" && found["status"] == "GOSSIP_ERR_INVALID_ARGUMENT"
	})
	must(t, node.Close())
	again := log.find(func(record slog.Record) bool {
		status := false
		record.Attrs(func(a slog.Attr) bool {
			status = status || a.Key == "status"
			return true
		})
		return strings.Contains(record.Message, stranger.Address()) && !status
	})
	if again != nil {
		t.Errorf("the warning is said a second time, as a log line: %v", again)
	}
}
