// Command peer is a member of the mixed cluster in Go, told what to do by lines on its standard input (../../README.md).
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

// notUnderstood ends the peer.
func notUnderstood(what string, err error) {
	fmt.Fprintf(os.Stderr, "not understood: %s: %v\n", what, err)
	os.Exit(1)
}

func unescape(word string) string {
	if word == "-" {
		return ""
	}
	text, err := url.PathUnescape(word)
	if err != nil {
		notUnderstood(word, err)
	}
	return text
}

func escape(text string) string {
	if text == "" {
		return "-"
	}
	var out strings.Builder
	for _, b := range []byte(text) {
		if '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02x", b)
		}
	}
	return out.String()
}

func parse(kind, word string) cg.Value {
	var value cg.Value
	var err error
	switch kind {
	case "bytes":
		var bytes []byte
		if word != "-" {
			bytes, err = hex.DecodeString(word)
		}
		value = cg.Bytes(bytes)
	case "text":
		value = cg.Text(unescape(word))
	case "bool":
		var is bool
		is, err = strconv.ParseBool(word)
		value = cg.Bool(is)
	case "int":
		var number int64
		number, err = strconv.ParseInt(word, 10, 64)
		value = cg.Int(number)
	case "double":
		var number float64
		number, err = strconv.ParseFloat(word, 64)
		value = cg.Float(number)
	default:
		err = errors.New("no such kind")
	}
	if err != nil {
		notUnderstood(kind+" "+word, err)
	}
	return value
}

func show(value cg.Value) string {
	switch value := value.(type) {
	case cg.Bytes:
		if len(value) == 0 {
			return "bytes -"
		}
		return "bytes " + hex.EncodeToString(value)
	case cg.Text:
		return "text " + escape(string(value))
	case cg.Bool:
		return "bool " + strconv.FormatBool(bool(value))
	case cg.Int:
		return "int " + strconv.FormatInt(int64(value), 10)
	case cg.Float:
		return "double " + strings.ToLower(strconv.FormatFloat(float64(value), 'g', -1, 64))
	case cg.Message:
		return "other " + value.TypeURL
	}
	return "none"
}

func answer(node *cg.Node, words []string) (string, error) {
	switch {
	case words[0] == "set" && len(words) == 4:
		_, err := node.Set(unescape(words[1]), parse(words[2], words[3]))
		return "ok", err
	case words[0] == "get" && len(words) == 3:
		entry, found, err := node.GetFrom(unescape(words[1]), unescape(words[2]))
		if !found {
			return "none", err
		}
		return show(entry.Value), nil
	case words[0] == "delete" && len(words) == 2:
		return "ok", node.Delete(unescape(words[1]))
	case words[0] == "members" && len(words) == 1:
		members, err := node.Members()
		return fmt.Sprintf("members %d", len(members)), err
	}
	notUnderstood(strings.Join(words, " "), errors.New("no such command"))
	return "", nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func main() {
	id := flag.String("id", "", "member id")
	cluster := flag.String("cluster", "", "name of the cluster")
	seeds := flag.String("seeds", "", "addresses of members to join")
	flag.Parse()
	node, err := cg.Open(cg.Config{"id": *id, "cluster": *cluster, "seeds": *seeds, "bind": "127.0.0.1:0"})
	check(err)
	defer node.Close()
	// Lines go out one by one: os.Stdout has no buffer.
	fmt.Println("ready", node.Address())
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		words := strings.Fields(line)
		if err != nil && len(words) == 0 {
			return
		}
		if len(words) == 0 {
			notUnderstood("an empty line", errors.New("no command"))
		}
		if words[0] == "quit" {
			check(node.Close())
			fmt.Println("bye")
			return
		}
		said, err := answer(node, words)
		var failed *cg.Error
		if errors.As(err, &failed) {
			said = "error " + failed.Name
		} else {
			check(err)
		}
		fmt.Println(said)
	}
}
