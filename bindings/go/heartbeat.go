//go:build cgo

package clustergossip

import "encoding/binary"

const (
	heartbeatKey     = "cluster:heartbeat"
	heartbeatTypeURL = "type.googleapis.com/cluster.MemberHeartbeat"
)

// The wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// field is one of a protobuf message: a number, or a part.
type field struct {
	number   uint64
	wireType uint64
	value    uint64
	part     []byte
}

// parseHeartbeat reads the statistics in a cluster.MemberHeartbeat, and says whether it is one. No protobuf library is asked: it would
// have to register the message, which panics in a program that imports Proto.Actor, where it is registered already.
func parseHeartbeat(encoded []byte) (map[string]int64, bool) {
	// MemberHeartbeat { actor_statistics = 1 }, ActorStatistics { actor_count = 1: map<string, int64> }; a map is pairs { 1, 2 }.
	found := map[string]int64{}
	good := eachField(encoded, func(statistics field) bool {
		if statistics.number != 1 || statistics.wireType != wireBytes {
			return true
		}
		return eachField(statistics.part, func(pair field) bool {
			if pair.number != 1 || pair.wireType != wireBytes {
				return true
			}
			var name string
			var number int64
			good := eachField(pair.part, func(f field) bool {
				switch {
				case f.number == 1 && f.wireType == wireBytes:
					name = string(f.part)
				case f.number == 2 && f.wireType == wireVarint:
					number = int64(f.value)
				}
				return true
			})
			found[name] = number
			return good
		})
	})
	return found, good
}

// eachField calls with each field of a message until that gives false; false also where the message is malformed.
func eachField(message []byte, call func(field) bool) bool {
	for len(message) > 0 {
		tag, size := binary.Uvarint(message)
		// A field number is not 0, and has 29 bits.
		if size <= 0 || tag>>3 == 0 || tag>>32 != 0 {
			return false
		}
		message = message[size:]
		f := field{number: tag >> 3, wireType: tag & 7}
		length := uint64(0)
		switch f.wireType {
		case wireVarint:
			if f.value, size = binary.Uvarint(message); size <= 0 {
				return false
			}
			length = uint64(size)
		case wireFixed64:
			length = 8
		case wireBytes:
			if length, size = binary.Uvarint(message); size <= 0 {
				return false
			}
			message = message[size:]
		case wireFixed32:
			length = 4
		default:
			return false
		}
		if length > uint64(len(message)) {
			return false
		}
		f.part, message = message[:length], message[length:]
		if !call(f) {
			return false
		}
	}
	return true
}
