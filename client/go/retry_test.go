package rasterflight

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rasterflight/rasterflight/client/go/rasterflightv1"
)

func TestErrorsInTheMiddle(t *testing.T) {
	schema := chipsSchema(false, "red")
	detail := &rasterflightv1.ErrorDetail{Code: "DRAINING", Message: "the server is about to stop", Retryable: true}
	server := &fake{schema: schema, streams: [][]any{
		{batchOf(t, schema, row("a", 1, 0, "red", 1, 2)), detail}, {batchOf(t, schema, row("b", 1, 0, "red", 1, 2))},
	}}
	chips, _, err := read(t, serve(t, server), Parallel(1))
	if !errors.Is(err, ErrDraining) {
		t.Error(err)
	}
	same(t, chips, "a:red[1 2]")
	if n := server.count("read"); n > 2 {
		t.Errorf("rows that came are not asked for again, and there were %d calls", n)
	}
}

func TestReadsGoOnWhereTheyBrokeOff(t *testing.T) {
	schema := chipsSchema(false, "red")
	draining := &rasterflightv1.ErrorDetail{Code: "DRAINING", Message: "the server is about to stop", Retryable: true}
	items := []any{
		batchOf(t, schema, row("a", 1, 0, "red", 1, 2), row("b", 2, 0, "red", 3, 4)), int64(3), draining,
		batchOf(t, schema, row("b", 2, 1, "red", 5, 6)), int64(6), draining,
		batchOf(t, schema, row("c", 1, 0, "red", 7, 8)),
	}
	server := &fake{schema: schema, streams: [][]any{items}}
	chips, _, err := read(t, serve(t, server), Parallel(1))
	if err != nil {
		t.Fatal(err)
	}
	same(t, chips, "a:red[1 2]", "b:red[3 4 5 6]", "c:red[7 8]")
	if n := server.count("read"); n != 3 {
		t.Errorf("%d calls", n)
	}
	if _, _, err := read(t, serve(t, server, WithRetries(0))); !errors.Is(err, ErrDraining) {
		t.Error(err)
	}
}

func TestBusyServersAreAskedAgain(t *testing.T) {
	schema := chipsSchema(false, "red")
	server := &fake{
		schema: schema, streams: [][]any{{batchOf(t, schema, row("a", 1, 0, "red", 1, 2))}},
		busy: map[string]int{"plan": 1, "read": 2},
	}
	chips, _, err := read(t, serve(t, server))
	if err != nil {
		t.Fatal(err)
	}
	same(t, chips, "a:red[1 2]")
	if server.count("plan") != 2 || server.count("read") != 3 {
		t.Error(server.calls)
	}
}

func TestTriesAreBounded(t *testing.T) {
	for retries, calls := range map[int]int{0: 1, 2: 3} {
		server := &fake{schema: chipsSchema(false), busy: map[string]int{"plan": 99}}
		_, err := serve(t, server, WithRetries(retries)).Plan(context.Background(), anything)
		if !errors.Is(err, ErrBusy) || server.count("plan") != calls {
			t.Error(err, server.calls)
		}
	}
}

func TestPausesKeepToWhatTheServerSays(t *testing.T) {
	tries := attempts{client: &Client{retries: 5}}
	for range 100 {
		if pause := tries.pause(&Error{RetryAfter: 3 * time.Second}); pause != 3*time.Second {
			t.Fatal(pause)
		}
		if pause := tries.pause(&Error{}); pause < firstPause/2 || pause > firstPause {
			t.Fatal(pause)
		}
	}
	tries.failed = 60
	if pause := tries.pause(&Error{}); pause > longestPause {
		t.Error(pause)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	tries = attempts{client: &Client{retries: 5}}
	start := time.Now()
	busy := &Error{Code: ErrBusy, Retryable: true, RetryAfter: time.Minute}
	if err := tries.wait(ctx, busy); err != busy || time.Since(start) > 500*time.Millisecond {
		t.Error("no pause goes beyond the deadline", err)
	}
}
