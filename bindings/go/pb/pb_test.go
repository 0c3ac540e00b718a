package pb_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	clustergossip "github.com/cluster-gossip/cluster-gossip/bindings/go"
	"github.com/cluster-gossip/cluster-gossip/bindings/go/pb"
)

func open(t *testing.T, seed string) *clustergossip.Node {
	t.Helper()
	node, err := clustergossip.Open(clustergossip.Config{"cluster": t.Name(), "bind": "127.0.0.1:0", "seeds": seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	return node
}

func TestMessages(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	writer := open(t, "")
	reader := open(t, writer.Address())
	changes, err := reader.Changes(ctx, clustergossip.Filter{Key: "order"})
	if err != nil {
		t.Fatal(err)
	}
	order, err := structpb.NewStruct(map[string]any{"id": 7.0, "items": []any{"tea", "milk"}, "paid": true})
	if err != nil {
		t.Fatal(err)
	}
	first, err := pb.Set(writer, "order", order)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := pb.Set(writer, "order", order, clustergossip.IfChanged()); err != nil || again != first {
		t.Errorf("set again, if changed: %d after %d, %v", again, first, err)
	}
	change := <-changes
	if found, err := pb.As[*structpb.Struct](change.Entry); err != nil || !proto.Equal(found, order) {
		t.Errorf("in the change: %v, %v", found, err)
	}
	if !pb.Is(change.Entry, &structpb.Struct{}) || pb.Is(change.Entry, &structpb.Value{}) {
		t.Errorf("Is does not fit %q", change.TypeURL)
	}
	if found, there, err := pb.GetFrom[*structpb.Struct](reader, writer.ID(), "order"); err != nil || !there || !proto.Equal(found, order) {
		t.Errorf("get from: %v, %v, %v", found, there, err)
	}
	// One of another type, which is nobody's fault.
	if _, err := reader.Set("order", clustergossip.Text("none")); err != nil {
		t.Fatal(err)
	}
	if found, err := pb.Get[*structpb.Struct](reader, "order"); err != nil || len(found) != 1 || !proto.Equal(found[writer.ID()], order) {
		t.Errorf("get: %v, %v", found, err)
	}
	if _, there, err := pb.GetOwn[*structpb.Struct](reader, "order"); there || !errors.Is(err, clustergossip.ErrWrongType) {
		t.Errorf("of another type: %v, %v", there, err)
	}
	if _, there, err := pb.GetOwn[*structpb.Struct](reader, "nothing"); there || err != nil {
		t.Errorf("nothing: %v, %v", there, err)
	}
	if err := writer.Delete("order"); err != nil {
		t.Fatal(err)
	}
	change = <-changes
	for change.Kind != clustergossip.KindEntryDeleted {
		change = <-changes
	}
	if err := pb.Into(change.Entry, &structpb.Struct{}); !errors.Is(err, clustergossip.ErrNotFound) {
		t.Errorf("of a deleted entry: %v", err)
	}
}

// Plain values are wrapper messages on the wire, and the other way round.
func TestWrappers(t *testing.T) {
	node := open(t, "")
	if _, err := node.Set("text", clustergossip.Text("grüße")); err != nil {
		t.Fatal(err)
	}
	if found, _, err := pb.GetOwn[*wrapperspb.StringValue](node, "text"); err != nil || found.GetValue() != "grüße" {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := pb.Set(node, "number", wrapperspb.Int64(-5)); err != nil {
		t.Fatal(err)
	}
	if entry, _, err := node.GetOwn("number"); err != nil || entry.Value != clustergossip.Int(-5) {
		t.Errorf("%+v, %v", entry, err)
	}
	if _, err := node.Set("bytes", clustergossip.Bytes("plain")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pb.GetOwn[*wrapperspb.BytesValue](node, "bytes"); !errors.Is(err, clustergossip.ErrWrongType) {
		t.Errorf("plain bytes are no BytesValue: %v", err)
	}
}

func TestBadBytes(t *testing.T) {
	node := open(t, "")
	value, err := pb.ValueOf(durationpb.New(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if value.TypeURL != "type.googleapis.com/google.protobuf.Duration" {
		t.Errorf("type URL %q", value.TypeURL)
	}
	value.Bytes = []byte{0xff}
	if _, err := node.Set("bad", value); err != nil {
		t.Fatal(err)
	}
	if found, there, err := pb.GetOwn[*durationpb.Duration](node, "bad"); err == nil || there || errors.Is(err, clustergossip.ErrWrongType) {
		t.Errorf("%v, %v, %v", found, there, err)
	}
	// Another host's prefix is as good.
	value.TypeURL, value.Bytes = "example.org/types/google.protobuf.Duration", nil
	if _, err := node.Set("other", value); err != nil {
		t.Fatal(err)
	}
	if found, there, err := pb.GetOwn[*durationpb.Duration](node, "other"); err != nil || !there || found.AsDuration() != 0 {
		t.Errorf("%v, %v, %v", found, there, err)
	}
}

// protobuf-go ends a program in which two packages register the same message, as this one and protoactor-go would.
func TestNothingIsRegistered(t *testing.T) {
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(file.Path(), "google/protobuf/") {
			t.Errorf("%s is registered", file.Path())
		}
		return true
	})
}
