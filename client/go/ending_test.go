package rasterflight_test

import (
	"context"
	"errors"
	"testing"
	"time"

	rf "github.com/rasterflight/rasterflight/client/go"
)

// running counts the streams that the server has under way.
func running(t *testing.T, client *rf.Client) int {
	t.Helper()
	return counter(t, client, "streams")
}

func waitForNoStream(t *testing.T, client *rf.Client) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); running(t, client) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams run", running(t, client))
		}
	}
}

func TestCancelReachesTheServer(t *testing.T) {
	client, made := open(t, "made")
	request := manyWindows()
	for name, end := range map[string]func(*rf.Stream, context.CancelFunc){
		"cancel": func(_ *rf.Stream, cancel context.CancelFunc) { cancel() },
		"close":  func(stream *rf.Stream, _ context.CancelFunc) { stream.Close() },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		stream, err := made.Read(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if !stream.Next() || running(t, client) == 0 {
			t.Fatal("nothing runs: ", stream.Err())
		}
		end(stream, cancel)
		if name == "cancel" {
			for stream.Next() {
			}
			if !errors.Is(stream.Err(), context.Canceled) {
				t.Error(stream.Err())
			}
		}
		waitForNoStream(t, client)
		stream.Close()
		cancel()
	}
}

func TestDeadlineReachesTheServer(t *testing.T) {
	client, made := open(t, "made")
	request := manyWindows()
	ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
	defer cancel()
	stream, err := made.Read(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for stream.Next() {
		time.Sleep(50 * time.Millisecond)
	}
	if !errors.Is(stream.Err(), context.DeadlineExceeded) || !errors.Is(stream.Err(), rf.ErrDeadline) {
		t.Error(stream.Err())
	}
	waitForNoStream(t, client)
}
