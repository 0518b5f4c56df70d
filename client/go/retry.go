package rasterflight

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// The first pause, which doubles from one to the next; of each, a part between the half and the whole is waited.
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
	// However many tries there are: after so much time without an answer, no more.
	mostTrying = 2 * time.Minute
)

// attempts are the tries of one call.
type attempts struct {
	client *Client
	failed int
	since  time.Time
}

// trying makes a call that changes nothing until it is answered, or there is no point in another try.
func (c *Client) trying(ctx context.Context, call func() error) error {
	tries := attempts{client: c}
	for {
		err := call()
		if err == nil {
			c.reached.Store(true)
			return nil
		}
		if err := tries.wait(ctx, err); err != nil {
			return err
		}
	}
}

// wait waits until it is time for another try; it returns the error if there is to be none.
func (a *attempts) wait(ctx context.Context, err error) error {
	var told *Error
	if !errors.As(err, &told) {
		return err
	}
	if told.Code != ErrUnavailable && told.Code != ErrProtocol {
		a.client.reached.Store(true)
	}
	// where no server ever answered, there is probably none to wait for
	if !told.Retryable || !errors.Is(told, ErrUnavailable) || !a.client.reached.Load() || a.failed >= a.client.retries {
		return err
	}
	pause := a.pause(told)
	now := time.Now()
	if a.since.IsZero() {
		a.since = now
	}
	if deadline, ok := ctx.Deadline(); now.Add(pause).Sub(a.since) > mostTrying || ok && now.Add(pause).After(deadline) {
		return err
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return err
	}
	a.failed++
	return nil
}

func (a *attempts) pause(told *Error) time.Duration {
	pause := min(firstPause<<min(a.failed, 10), longestPause)
	// not all at once: those who lost the same server come back one by one
	pause = pause/2 + rand.N(pause/2)
	return max(pause, told.RetryAfter)
}
