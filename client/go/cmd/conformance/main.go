// Command conformance plays golden vectors (tests/conformance) with this client against a server.
//
//	go run ./cmd/conformance -url grpc://127.0.0.1:8815 -vectors ../../tests/conformance/vectors.json
//
// It prints a line of JSON for each case, and ends with status 1 when one is not as it should be.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	rf "github.com/rasterflight/rasterflight/client/go"
)

// vector is a case of the file.
type vector struct {
	Name         string          `json:"name"`
	Ticket       json.RawMessage `json:"ticket"`
	TicketBase64 []byte          `json:"ticket_base64"`
	Upload       [][]byte        `json:"upload"`
	Exchange     []points        `json:"exchange"`
	Only         string          `json:"only"`
	Timeout      float64         `json:"timeout"`
	Expected     map[string]any  `json:"expected"`
}

// points are a set for an exchange.
type points struct {
	X []number `json:"x"`
	Y []number `json:"y"`
}

// number may also be infinite, as text or as a number that is too large.
type number float64

func (n *number) UnmarshalJSON(text []byte) error {
	value, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	*n = number(value)
	return err
}

type verdict struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"`
}

func main() {
	url := flag.String("url", "", "of the server")
	path := flag.String("vectors", "", "the file of cases")
	only := flag.String("only", "", "name of one case")
	flag.Parse()
	ok, err := run(context.Background(), *url, *path, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, url, path, only string) (bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	var file struct {
		Cases []vector `json:"cases"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return false, err
	}
	client, err := rf.Connect(ctx, url)
	if err != nil {
		return false, err
	}
	defer client.Close()
	player, allOK, played := player{client}, true, 0
	for _, one := range file.Cases {
		if only != "" && only != one.Name {
			continue
		}
		why := player.why(ctx, one)
		line, err := json.Marshal(verdict{one.Name, why == "", why})
		if err != nil {
			return false, err
		}
		fmt.Println(string(line))
		allOK, played = allOK && why == "", played+1
	}
	if played == 0 {
		return false, fmt.Errorf("%s has no such case", path)
	}
	return allOK, nil
}
