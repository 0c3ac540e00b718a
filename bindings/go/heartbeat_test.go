package clustergossip

import (
	"maps"
	"math"
	"testing"
)

const someHeartbeat = "\x0a\x08\x0a\x06\x0a\x01a\x10\xac\x02"

// TestHeartbeatIsReadAsProtobufWritesIt: with unknown fields of each wire type, in two parts, and with what is left out.
func TestHeartbeatIsReadAsProtobufWritesIt(t *testing.T) {
	unknown := "\x10\x05\x19\x01\x02\x03\x04\x05\x06\x07\x08\x22\x02\x01\x01\x2d\x01\x02\x03\x04"
	smallest := "\x0a\x0d\x0a\x0b\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"
	for encoded, expected := range map[string]map[string]int64{
		"":                                       {},
		"\x0a\x00":                               {},
		someHeartbeat:                            {"a": 300},
		unknown + someHeartbeat + "\n\x02\n\x00": {"a": 300, "": 0},
		smallest:                                 {"": math.MinInt64},
	} {
		found, good := parseHeartbeat([]byte(encoded))
		if !good || !maps.Equal(found, expected) {
			t.Errorf("%q: %v, %v", encoded, found, good)
		}
	}
}

// TestMalformedHeartbeatsAreRefused, and none of all cuts and changes of a valid one panics.
func TestMalformedHeartbeatsAreRefused(t *testing.T) {
	for _, encoded := range []string{
		"\x0a", "\x0a\x05\x01", "\x08", "\x00", "\x0b", "\x80", "\x19\x01", "\x2d\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0a\x03\x0a\x01\x0a",
	} {
		if found, good := parseHeartbeat([]byte(encoded)); good {
			t.Errorf("%q is read: %v", encoded, found)
		}
	}
	for at := range len(someHeartbeat) {
		for value := range 256 {
			changed := []byte(someHeartbeat)
			changed[at] = byte(value)
			parseHeartbeat(changed)
			parseHeartbeat(changed[:at+1])
		}
	}
}
