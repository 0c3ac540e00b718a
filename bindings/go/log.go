//go:build cgo

package clustergossip

import (
	"context"
	"log/slog"
)

// LevelTrace is the slog level of the library's level trace, which slog has no name for.
const LevelTrace = slog.LevelDebug - 4

var levels = map[int32]slog.Level{
	logError: slog.LevelError,
	logWarn:  slog.LevelWarn,
	logInfo:  slog.LevelInfo,
	logDebug: slog.LevelDebug,
	logTrace: LevelTrace,
}

// LogTo has the library's log lines and warnings of this node handed to a logger (nil: slog.Default()), from this call on until the
// context is done or the node was closed. It returns at once; a goroutine does the rest.
//
// What there is to hand over the setting log_level decides, what is shown the logger. The records have the attributes "node" (the
// member id), "target" (the part of the library that speaks), and warnings "status" (its name). Without LogTo nothing is logged.
func (n *Node) LogTo(ctx context.Context, logger *slog.Logger) error {
	if logger == nil {
		logger = slog.Default()
	}
	lines, err := n.Changes(ctx, Filter{Kinds: KindLog | KindWarning})
	if err != nil {
		return err
	}
	node := slog.String("node", n.ID())
	go func() {
		// The library says most warnings a second time as a log line, right after; here once is enough.
		said := ""
		for line := range lines {
			if line.Kind == KindWarning {
				said = line.Text
				logger.LogAttrs(ctx, slog.LevelWarn, line.Text, node, slog.String("status", Status(line.Code).Name()))
				continue
			}
			if said != "" && line.Text == said {
				said = ""
				continue
			}
			level, known := levels[line.Code]
			if !known {
				level = slog.LevelInfo
			}
			logger.LogAttrs(ctx, level, line.Text, node, slog.String("target", line.Key))
		}
	}()
	return nil
}
