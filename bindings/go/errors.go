//go:build cgo

package clustergossip

// #include <cluster_gossip.h>
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Status is how a call of the library ended. The constants Err... are statuses, and errors to compare with:
//
//	if errors.Is(err, clustergossip.ErrNotFound) { ... }
//
// Where the standard library has an error of the same meaning, errors.Is finds that too: ErrNotFound is fs.ErrNotExist,
// ErrClosed is fs.ErrClosed, ErrTimeout is os.ErrDeadlineExceeded, ErrNotSupported is errors.ErrUnsupported.
type Status int32

// The statuses that are failures; docs/status.md of the project lists them. A newer library may have others.
const (
	// An argument is not valid: not UTF-8, or out of range.
	ErrInvalidArgument Status = C.GOSSIP_ERR_INVALID_ARGUMENT
	// The id names nothing.
	ErrInvalidHandle Status = C.GOSSIP_ERR_INVALID_HANDLE
	// The node or subscription was closed before or during the call.
	ErrClosed Status = C.GOSSIP_ERR_CLOSED
	// What was waited for did not happen in time.
	ErrTimeout Status = C.GOSSIP_ERR_TIMEOUT
	// There is nothing by that name.
	ErrNotFound Status = C.GOSSIP_ERR_NOT_FOUND
	// No setting has that name.
	ErrUnknownSetting Status = C.GOSSIP_ERR_UNKNOWN_SETTING
	// The value does not fit the setting, or contradicts another setting.
	ErrBadSetting Status = C.GOSSIP_ERR_BAD_SETTING
	// The setting cannot change once the node is open.
	ErrNotLive Status = C.GOSSIP_ERR_NOT_LIVE
	// Keys that begin with "cluster:" are the library's own.
	ErrReservedKey Status = C.GOSSIP_ERR_RESERVED_KEY
	// A key is 1 to 255 bytes of UTF-8.
	ErrInvalidKey Status = C.GOSSIP_ERR_INVALID_KEY
	// The value is larger than the setting max_value_size.
	ErrValueTooLarge Status = C.GOSSIP_ERR_VALUE_TOO_LARGE
	// The node's state would exceed max_keys_per_member or max_state_size_per_member.
	ErrLimit Status = C.GOSSIP_ERR_LIMIT
	// Another goroutine is taking from this subscription.
	ErrBusy Status = C.GOSSIP_ERR_BUSY
	// A call would wait for itself. Go programs have no callbacks of the library, so they do not meet it.
	ErrWouldDeadlock Status = C.GOSSIP_ERR_WOULD_DEADLOCK
	// The node belongs to the process that this one was forked from.
	ErrForked Status = C.GOSSIP_ERR_FORKED
	// The address could not be bound.
	ErrBind Status = C.GOSSIP_ERR_BIND
	// No address could be chosen for others to reach this node at; set advertise.
	ErrAdvertise Status = C.GOSSIP_ERR_ADVERTISE
	// A later process has taken over this node's member id.
	ErrIDTaken Status = C.GOSSIP_ERR_ID_TAKEN
	// The node has left the cluster.
	ErrLeft Status = C.GOSSIP_ERR_LEFT
	// The node is banned from the cluster.
	ErrBanned Status = C.GOSSIP_ERR_BANNED
	// The value is of another type than was asked for.
	ErrWrongType Status = C.GOSSIP_ERR_WRONG_TYPE
	// This platform or build cannot do that.
	ErrNotSupported Status = C.GOSSIP_ERR_NOT_SUPPORTED
	// Memory, threads or file descriptors are used up.
	ErrNoResources Status = C.GOSSIP_ERR_NO_RESOURCES
	// A bug in the library was caught before it could harm the program; please report it.
	ErrPanic Status = C.GOSSIP_ERR_PANIC
	// The node's task has died; close the node and open a new one.
	ErrFailed Status = C.GOSSIP_ERR_FAILED
	// A wait was ended from outside. Waits of this package end by their context instead.
	ErrInterrupted Status = C.GOSSIP_ERR_INTERRUPTED

	statusOK Status = C.GOSSIP_OK
)

// The names by which the library must know the numbers above; checked when the package is loaded.
var statusNames = map[Status]string{
	statusOK:           "GOSSIP_OK",
	ErrInvalidArgument: "GOSSIP_ERR_INVALID_ARGUMENT",
	ErrInvalidHandle:   "GOSSIP_ERR_INVALID_HANDLE",
	ErrClosed:          "GOSSIP_ERR_CLOSED",
	ErrTimeout:         "GOSSIP_ERR_TIMEOUT",
	ErrNotFound:        "GOSSIP_ERR_NOT_FOUND",
	ErrUnknownSetting:  "GOSSIP_ERR_UNKNOWN_SETTING",
	ErrBadSetting:      "GOSSIP_ERR_BAD_SETTING",
	ErrNotLive:         "GOSSIP_ERR_NOT_LIVE",
	ErrReservedKey:     "GOSSIP_ERR_RESERVED_KEY",
	ErrInvalidKey:      "GOSSIP_ERR_INVALID_KEY",
	ErrValueTooLarge:   "GOSSIP_ERR_VALUE_TOO_LARGE",
	ErrLimit:           "GOSSIP_ERR_LIMIT",
	ErrBusy:            "GOSSIP_ERR_BUSY",
	ErrWouldDeadlock:   "GOSSIP_ERR_WOULD_DEADLOCK",
	ErrForked:          "GOSSIP_ERR_FORKED",
	ErrBind:            "GOSSIP_ERR_BIND",
	ErrAdvertise:       "GOSSIP_ERR_ADVERTISE",
	ErrIDTaken:         "GOSSIP_ERR_ID_TAKEN",
	ErrLeft:            "GOSSIP_ERR_LEFT",
	ErrBanned:          "GOSSIP_ERR_BANNED",
	ErrWrongType:       "GOSSIP_ERR_WRONG_TYPE",
	ErrNotSupported:    "GOSSIP_ERR_NOT_SUPPORTED",
	ErrNoResources:     "GOSSIP_ERR_NO_RESOURCES",
	ErrPanic:           "GOSSIP_ERR_PANIC",
	ErrFailed:          "GOSSIP_ERR_FAILED",
	ErrInterrupted:     "GOSSIP_ERR_INTERRUPTED",
}

// Error gives the library's sentence about the status, and its name.
func (s Status) Error() string {
	return fmt.Sprintf("%s (%s)", statusText(s), s.Name())
}

// Name gives the name in the C header, such as "GOSSIP_ERR_TIMEOUT"; "GOSSIP_ERR_UNKNOWN" for a number that is none.
func (s Status) Name() string {
	return statusName(s)
}

// CanRetry says whether the same call may succeed later without the caller changing anything.
func (s Status) CanRetry() bool {
	return statusCanRetry(s)
}

// Is finds the errors of the standard library that mean the same.
func (s Status) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return s == ErrNotFound
	case fs.ErrClosed:
		return s == ErrClosed
	case os.ErrDeadlineExceeded:
		return s == ErrTimeout
	case errors.ErrUnsupported:
		return s == ErrNotSupported
	}
	return false
}

// Error is what every failed call returns, unless it returns the error of its context.
type Error struct {
	// Status is what errors.Is compares with.
	Status Status
	// Name is that of the status in the C header.
	Name string
	// Message says what was wrong.
	Message string
}

// Error gives the message and the status's name.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s)", e.Message, e.Name)
}

// Unwrap gives the status.
func (e *Error) Unwrap() error {
	return e.Status
}

// newError makes the error of a status, with the library's own sentence where there is no message.
func newError(status Status, message string) error {
	if message == "" {
		message = statusText(status)
	}
	return &Error{Status: status, Name: status.Name(), Message: message}
}

// check gives the error of a status, nil for success.
func check(status Status) error {
	if status == statusOK {
		return nil
	}
	return newError(status, "")
}

// libraryError is why the loaded library cannot be used, or nil; Open returns it.
var libraryError error

func init() {
	libraryError = checkLibrary(abiVersion(), statusName)
}

// checkLibrary compares the library that is loaded with what this package was written and compiled for.
func checkLibrary(abi uint32, name func(Status) string) error {
	if abi != ABIVersion {
		return fmt.Errorf("the loaded libcluster_gossip has ABI version %d, this program was built for ABI version %d", abi, ABIVersion)
	}
	for status, expected := range statusNames {
		if found := name(status); found != expected {
			return fmt.Errorf("the loaded libcluster_gossip calls status %d %s, this program was built for %s", int32(status), found, expected)
		}
	}
	return nil
}
