package main

import (
	"sort"
	"sync"
	"time"
)

// results collects what happened between from and to.
type results struct {
	from, to   time.Time
	lock       sync.Mutex
	requests   int
	tokenCount int
	open       int
	openMost   int
	firstMs    []float64
	latencyMs  []float64
	errors     map[string]int
}

// add counts a request that ended in the window; errors count whenever they happen.
func (r *results) add(sentAt time.Time, a answer, err error) {
	if err != nil {
		r.fail(err.Error())
		return
	}
	r.first(sentAt, a)
	r.lock.Lock()
	defer r.lock.Unlock()
	if a.endAt.After(r.from) && a.endAt.Before(r.to) {
		r.requests++
		r.latencyMs = append(r.latencyMs, ms(a.endAt.Sub(sentAt)))
	}
}

// first counts the TTFT of a request that was sent in the window.
func (r *results) first(sentAt time.Time, a answer) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if sentAt.After(r.from) && sentAt.Before(r.to) {
		r.firstMs = append(r.firstMs, ms(a.firstAt.Sub(sentAt)))
	}
}

func (r *results) fail(reason string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.errors[reason]++
}

// tokens counts stream tokens that came in the window.
func (r *results) tokens(count int) {
	now := time.Now()
	r.lock.Lock()
	defer r.lock.Unlock()
	if now.After(r.from) && now.Before(r.to) {
		r.tokenCount += count
	}
}

func (r *results) opened() {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.open++
	r.openMost = max(r.openMost, r.open)
}

func (r *results) closed() {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.open--
}

type percentiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func (r *results) summary(usage treeUsage) map[string]any {
	r.lock.Lock()
	defer r.lock.Unlock()
	failed := 0
	for _, count := range r.errors {
		failed += count
	}
	return map[string]any{
		"requests":        r.requests,
		"tokens":          r.tokenCount,
		"durationS":       r.to.Sub(r.from).Seconds(),
		"openMost":        r.openMost,
		"ttftMs":          summarise(r.firstMs),
		"latencyMs":       summarise(r.latencyMs),
		"errors":          failed,
		"errorKinds":      r.errors,
		"cpuSeconds":      usage.cpuSeconds,
		"rssMostMb":       usage.rssMostMb,
		"otherCpuSeconds": usage.otherCpuSeconds,
	}
}

func summarise(values []float64) percentiles {
	if len(values) == 0 {
		return percentiles{}
	}
	sort.Float64s(values)
	at := func(share float64) float64 { return values[min(len(values)-1, int(share*float64(len(values))))] }
	return percentiles{Count: len(values), P50: at(0.5), P99: at(0.99), Max: values[len(values)-1]}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
