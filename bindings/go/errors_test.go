package clustergossip

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryStatusOfTheLibraryHasAName(t *testing.T) {
	known := statuses()
	if len(known) != len(statusNames) {
		t.Errorf("the library knows %d statuses, this package %d", len(known), len(statusNames))
	}
	for _, status := range known {
		if statusNames[status] != status.Name() {
			t.Errorf("status %d is %s to the library, %q here", int32(status), status.Name(), statusNames[status])
		}
		if statusText(status) == "" {
			t.Errorf("%s has no sentence", status.Name())
		}
	}
	if name := Status(-9999).Name(); name != "GOSSIP_ERR_UNKNOWN" {
		t.Errorf("a number that is none is called %s", name)
	}
}

func TestErrors(t *testing.T) {
	_, err := Open(Config{"clutser": "shop"})
	var found *Error
	if !errors.As(err, &found) || found.Status != ErrUnknownSetting || found.Name != "GOSSIP_ERR_UNKNOWN_SETTING" {
		t.Fatalf("%#v", err)
	}
	// The library's words say which setting was perhaps meant.
	if !strings.Contains(found.Message, "cluster") || !strings.Contains(err.Error(), found.Message) || !strings.Contains(err.Error(), found.Name) {
		t.Errorf("%v", err)
	}
	wrapped := fmt.Errorf("opening: %w", err)
	if !errors.Is(wrapped, ErrUnknownSetting) || errors.Is(wrapped, ErrBadSetting) {
		t.Errorf("%v", wrapped)
	}
	for status, standard := range map[Status]error{
		ErrNotFound: fs.ErrNotExist, ErrClosed: os.ErrClosed, ErrTimeout: os.ErrDeadlineExceeded, ErrNotSupported: errors.ErrUnsupported,
	} {
		if !errors.Is(newError(status, ""), standard) {
			t.Errorf("%v is not %v", status, standard)
		}
		if errors.Is(newError(ErrBusy, ""), standard) {
			t.Errorf("%v is %v", ErrBusy, standard)
		}
	}
	if !ErrBusy.CanRetry() || ErrInvalidKey.CanRetry() {
		t.Error("CanRetry does not say what the library's table says")
	}
	if err := newError(ErrTimeout, ""); !strings.Contains(err.Error(), "in time") {
		t.Errorf("without a message: %v", err)
	}
}

func TestLibraryOfAnotherVersion(t *testing.T) {
	if libraryError != nil {
		t.Fatal(libraryError)
	}
	err := checkLibrary(ABIVersion+1, statusName)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(ABIVersion)) || !strings.Contains(err.Error(), fmt.Sprint(ABIVersion+1)) {
		t.Errorf("another ABI version: %v", err)
	}
	err = checkLibrary(ABIVersion, func(status Status) string {
		if status == ErrBusy {
			return "GOSSIP_ERR_OTHER"
		}
		return statusName(status)
	})
	if err == nil || !strings.Contains(err.Error(), "GOSSIP_ERR_BUSY") || !strings.Contains(err.Error(), "GOSSIP_ERR_OTHER") {
		t.Errorf("another table: %v", err)
	}
}

// The same with a library that is loaded in front of the real one, in a process of its own.
func TestOpenRefusesALibraryOfAnotherVersion(t *testing.T) {
	const inside = "CLUSTERGOSSIP_TEST_OTHER_ABI"
	if os.Getenv(inside) != "" {
		_, err := Open(Config{})
		fmt.Println("open:", err)
		_, err = OpenText("")
		fmt.Println("open text:", err)
		return
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler called cc")
	}
	folder := t.TempDir()
	source, library := filepath.Join(folder, "other.c"), filepath.Join(folder, "other.so")
	if err := os.WriteFile(source, []byte("unsigned gossip_abi_version(void) { return 4711; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, "-shared", "-fPIC", source, "-o", library).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), inside+"=1", "LD_PRELOAD="+library)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Count(string(out), "4711") != 2 || strings.Contains(string(out), "<nil>") {
		t.Errorf("it says:\n%s", out)
	}
}
