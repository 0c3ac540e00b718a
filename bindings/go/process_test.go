package clustergossip_test

import (
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

// In a process of its own the test binary runs one of these programs instead of the tests.
const programVariable = "CLUSTERGOSSIP_TEST_PROGRAM"

var background = context.Background()

var programs = map[string]func(busy *cg.Node){
	"returns":            func(*cg.Node) {},
	"exits":              func(*cg.Node) { os.Exit(0) },
	"exits elsewhere":    func(*cg.Node) { go os.Exit(0); select {} },
	"panics":             func(*cg.Node) { panic("of the program's own") },
	"panics in a reader": panicsInReader,
}

func panicsInReader(node *cg.Node) {
	changes, err := node.Changes(background, cg.Filter{})
	if err != nil {
		fmt.Println(err)
	}
	go func() {
		for change := range changes {
			panic("of the program's own, at " + change.Key)
		}
	}()
	select {}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		busy, err := busyNode(os.Args[1], os.Args[2], os.Args[3])
		if err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		programs[name](busy)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// busyNode is a node under way: it is being written to, its changes are being read, and somebody waits on it.
func busyNode(cluster, id, seed string) (*cg.Node, error) {
	node, err := cg.Open(cg.Config{"cluster": cluster, "id": id, "bind": "127.0.0.1:0", "seeds": seed, "log_level": "trace"})
	if err != nil {
		return nil, err
	}
	if err := node.WaitForMembers(background, 2); err != nil {
		return nil, err
	}
	changes, err := node.Changes(background, cg.Filter{Kinds: cg.KindAll})
	if err != nil {
		return nil, err
	}
	come := make(chan struct{}, 1)
	go func() {
		for range changes {
			select {
			case come <- struct{}{}:
			default:
			}
		}
	}()
	go node.WaitForMembers(background, 1000)
	go func() {
		for i := 0; ; i++ {
			if _, err := node.Set(fmt.Sprintf("key:%d", i%50), cg.Int(i)); err != nil {
				return
			}
		}
	}()
	<-come
	return node, nil
}

func TestExitWithoutClose(t *testing.T) {
	observer := open(t, nil)
	name, err := observer.Setting("cluster")
	must(t, err)
	for program := range programs {
		for attempt := range 3 {
			id := fmt.Sprintf("%s %d", program, attempt)
			child := exec.Command(os.Args[0], name, id, observer.Address())
			child.Env = append(os.Environ(), programVariable+"="+program)
			out, err := child.CombinedOutput()
			if !strings.HasPrefix(program, "panics") {
				if err != nil || len(out) != 0 {
					t.Errorf("%s: %v\n%s", id, err, out)
				}
				continue
			}
			// Go's own end of a panic, and nobody else's.
			if child.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "panic: of the program's own") {
				t.Errorf("%s: %v\n%s", id, err, out)
			}
		}
	}
	if state, err := observer.State(); err != nil || state != cg.StateJoined {
		t.Errorf("the observer is %v, %v", state, err)
	}
}

// goTool runs the go tool in this folder.
func goTool(t *testing.T, environment []string, arguments ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go tool")
	}
	command := exec.Command(tool, arguments...)
	command.Env = append(os.Environ(), environment...)
	out, err := command.CombinedOutput()
	return string(out), err
}

func TestWithoutCgo(t *testing.T) {
	out, err := goTool(t, []string{"CGO_ENABLED=0"}, "build", ".")
	if err == nil || !strings.Contains(out, "build with CGO_ENABLED=1 and a C compiler") {
		t.Errorf("%v\n%s", err, out)
	}
	// That, and nothing that would hide it.
	if strings.Contains(out, "undefined") {
		t.Errorf("%s", out)
	}
}

// The program of README.md, as a user's: in a module of its own.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	must(t, err)
	found := regexp.MustCompile("(?s)```go\n(package main\n.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(found) != 1 {
		t.Fatalf("%d programs in README.md", len(found))
	}
	binding, err := os.Getwd()
	must(t, err)
	const path = "github.com/cluster-gossip/cluster-gossip/bindings/go"
	folder := t.TempDir()
	module := fmt.Sprintf("module readme\n\ngo 1.24\n\nrequire %s v0.1.0\n\nreplace %s => %s\n", path, path, binding)
	must(t, os.WriteFile(filepath.Join(folder, "go.mod"), []byte(module), 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(found[0][1]), 0o600))
	out, err := goTool(t, nil, "run", "-C", folder, ".")
	if err != nil || !strings.Contains(out, "set load to 0.7") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestStaticLibrary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into ELF files")
	}
	if _, err := os.Stat("../../target/release/libcluster_gossip.a"); err != nil {
		t.Skipf("the static library is not built: %v", err)
	}
	if _, err := os.Stat("lib"); os.IsNotExist(err) {
		t.Cleanup(func() { must(t, os.RemoveAll("lib")) })
	}
	if out, err := exec.Command("./static-lib.sh").CombinedOutput(); err != nil {
		t.Fatalf("static-lib.sh: %v\n%s", err, out)
	}
	binary := filepath.Join(t.TempDir(), "bench")
	// No pkg-config: the tag must not need it.
	if out, err := goTool(t, []string{"PKG_CONFIG=false"}, "build", "-tags", "gossip_static", "-o", binary, "./bench"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := elf.Open(binary)
	must(t, err)
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	must(t, err)
	if slices.ContainsFunc(libraries, func(name string) bool { return strings.Contains(name, "cluster_gossip") }) {
		t.Errorf("it needs %v", libraries)
	}
	// And the figures of make bench come out.
	figures := filepath.Join(t.TempDir(), "figures.json")
	if out, err := exec.Command(binary, "--quick", "--json", figures).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(figures)
	must(t, err)
	type row struct {
		Mark              string
		Ours, Peer, Ratio float64
	}
	var rows []row
	must(t, json.Unmarshal(text, &rows))
	wrong := func(r row) bool { return r.Mark == "" || r.Ours <= 0 || r.Peer <= 0 || r.Ratio <= 0 }
	if len(rows) != 6 || slices.ContainsFunc(rows, wrong) {
		t.Errorf("%s", text)
	}
}
