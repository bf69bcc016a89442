package main

import (
	"math/rand"
	"sync"
	"sync/atomic"
	"time"
)

// runClosed keeps every connection busy until the window ends.
func runClosed(o options, p *prompts, r *results) {
	var group sync.WaitGroup
	for i := range o.connections {
		group.Add(1)
		go func() {
			defer group.Done()
			c := newClient(o.targets[i%len(o.targets)])
			defer c.close()
			for time.Now().Before(r.to) {
				sentAt := time.Now()
				a, err := c.send(p, o.maxTokens, nil)
				r.add(sentAt, a, err)
				if err != nil {
					time.Sleep(10 * time.Millisecond)
				}
			}
		}()
	}
	group.Wait()
}

// runPaced starts requests at random times of a fixed mean rate, whatever became of the earlier ones; latency counts
// from the time a request was due. A request that finds every connection busy is an error.
func runPaced(o options, p *prompts, r *results) {
	random := rand.New(rand.NewSource(2))
	idle := make(chan *client, o.connections)
	for i := range o.connections {
		idle <- newClient(o.targets[i%len(o.targets)])
	}
	var group sync.WaitGroup
	for due := time.Now(); due.Before(r.to); {
		due = due.Add(time.Duration(random.ExpFloat64() / o.rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		select {
		case c := <-idle:
			group.Add(1)
			go func(dueAt time.Time) {
				defer group.Done()
				a, err := c.send(p, o.maxTokens, nil)
				r.add(dueAt, a, err)
				idle <- c
			}(due)
		default:
			r.fail("no idle connection left")
		}
	}
	group.Wait()
}

// runStreams keeps o.connections streams open. A stream must carry exactly the tokens asked for, one event each,
// with a role, a usage and a [DONE] event around them.
func runStreams(o options, p *prompts, r *results) {
	var group sync.WaitGroup
	var stopping atomic.Bool
	begin := time.Now()
	rampS := r.from.Sub(begin).Seconds() * 0.8
	for i := range o.connections {
		group.Add(1)
		go func() {
			defer group.Done()
			c := newClient(o.targets[i%len(o.targets)])
			defer c.close()
			time.Sleep(time.Until(begin.Add(time.Duration(rampS * float64(i) / float64(o.connections) * float64(time.Second)))))
			maxTokens := o.maxTokens
			if !o.once {
				// The first stream of each is cut short, so that streams end evenly spread over the window.
				maxTokens = 1 + maxTokens*i/o.connections
			}
			for !stopping.Load() {
				runStream(c, p, r, maxTokens, &stopping)
				if o.once {
					return
				}
				maxTokens = o.maxTokens
			}
		}()
	}
	if !o.once {
		time.Sleep(time.Until(r.to))
		stopping.Store(true)
	}
	group.Wait()
}

func runStream(c *client, p *prompts, r *results, maxTokens int, stopping *atomic.Bool) {
	sentAt := time.Now()
	events, opened := 0, false
	a, err := c.send(p, maxTokens, func(count int) {
		if stopping.Load() {
			// A stream still open after the window is left as a client would leave it, by closing.
			c.conn.Close()
			return
		}
		if !opened {
			opened = true
			r.opened()
		}
		before := tokensOf(events, maxTokens)
		events += count
		r.tokens(tokensOf(events, maxTokens) - before)
	})
	if opened {
		r.closed()
	}
	switch {
	case stopping.Load():
		// The end was ours; TTFT and tokens up to here are counted already.
		if !a.firstAt.IsZero() {
			r.first(sentAt, a)
		}
	case err != nil:
		r.add(sentAt, a, err)
		time.Sleep(10 * time.Millisecond)
	case a.events != maxTokens+3 || !a.done:
		r.fail("stream with missing or extra events")
	default:
		r.add(sentAt, a, nil)
	}
}

// tokensOf says how many of the first events of a stream are tokens: the role event comes before, two after.
func tokensOf(events, maxTokens int) int {
	return max(0, min(events-1, maxTokens))
}
