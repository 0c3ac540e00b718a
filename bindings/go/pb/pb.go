// Package pb sets and gets protobuf messages as the values of a cluster's entries.
//
//	pb.Set(node, "order", &shop.Order{Id: 7})
//	orders, err := pb.Get[*shop.Order](node, "order") // member id -> message
//
// The messages travel as google.protobuf.Any, so that a member in any language reads them with its own protobuf library. The package
// brings no generated code of its own and registers nothing in the global registry of protobuf.
//
// It is a module of its own, so that programs without protobuf messages need no protobuf.
package pb

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	clustergossip "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

// What Any has before the full name of a message.
const typeURLPrefix = "type.googleapis.com/"

// ValueOf encodes a message as a value to be set. Equal messages of one program have equal bytes, as clustergossip.IfChanged needs it.
func ValueOf(message proto.Message) (clustergossip.Message, error) {
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return clustergossip.Message{}, err
	}
	return clustergossip.Message{TypeURL: typeURLPrefix + string(message.ProtoReflect().Descriptor().FullName()), Bytes: bytes}, nil
}

// Is says whether the entry's value is a message of that type.
func Is(entry clustergossip.Entry, message proto.Message) bool {
	name := string(message.ProtoReflect().Descriptor().FullName())
	// As Any has it: what is before the last slash may be anything.
	url := entry.TypeURL
	return len(url) > len(name) && url[len(url)-len(name):] == name && url[len(url)-len(name)-1] == '/'
}

// Into decodes the entry's value into a message, which must be of the value's type: else clustergossip.ErrWrongType. Plain values
// are messages too: a clustergossip.Text is a google.protobuf.StringValue, Int an Int64Value.
func Into(entry clustergossip.Entry, message proto.Message) error {
	if entry.Value == nil {
		return fmt.Errorf("%q of member %q: the entry was deleted: %w", entry.Key, entry.Member, clustergossip.ErrNotFound)
	}
	if !Is(entry, message) {
		is := entry.TypeURL
		if is == "" {
			is = "plain bytes"
		}
		return fmt.Errorf("%q of member %q is %s, not %s: %w", entry.Key, entry.Member, is, message.ProtoReflect().Descriptor().FullName(),
			clustergossip.ErrWrongType)
	}
	if err := proto.Unmarshal(entry.Raw, message); err != nil {
		return fmt.Errorf("%q of member %q: %w", entry.Key, entry.Member, err)
	}
	return nil
}

// As decodes the entry's value as a new message of the type T, a pointer to a generated message.
func As[T proto.Message](entry clustergossip.Entry) (T, error) {
	var none T
	// The descriptor of a generated type is known to its nil pointer too.
	message := none.ProtoReflect().New().Interface().(T)
	if err := Into(entry, message); err != nil {
		return none, err
	}
	return message, nil
}

// Set publishes a message as an entry of the node's own, as Node.Set does with plain values.
func Set(node *clustergossip.Node, key string, message proto.Message, options ...clustergossip.SetOption) (uint64, error) {
	value, err := ValueOf(message)
	if err != nil {
		return 0, err
	}
	return node.Set(key, value, options...)
}

// Get gives the messages of all members under that key, by member id. Members whose value is of another type or does not
// decode make no part of it; Node.Get has them.
func Get[T proto.Message](node *clustergossip.Node, key string, options ...clustergossip.ReadOption) (map[string]T, error) {
	entries, err := node.Get(key, options...)
	if err != nil {
		return nil, err
	}
	messages := make(map[string]T, len(entries))
	for member, entry := range entries {
		if message, err := As[T](entry); err == nil {
			messages[member] = message
		}
	}
	return messages, nil
}

// GetFrom gives one member's message, and whether there is an entry. ErrWrongType if that is of another type.
func GetFrom[T proto.Message](node *clustergossip.Node, member, key string, options ...clustergossip.ReadOption) (T, bool, error) {
	return decoded[T](node.GetFrom(member, key, options...))
}

// GetOwn gives the node's own message, and whether there is an entry. ErrWrongType if that is of another type.
func GetOwn[T proto.Message](node *clustergossip.Node, key string) (T, bool, error) {
	return decoded[T](node.GetOwn(key))
}

func decoded[T proto.Message](entry clustergossip.Entry, found bool, err error) (T, bool, error) {
	var none T
	if err != nil || !found {
		return none, false, err
	}
	message, err := As[T](entry)
	return message, err == nil, err
}
