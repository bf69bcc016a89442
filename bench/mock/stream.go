package main

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	wheelSlots = 1024
	// A client that reads nothing while this much waits for it is cut off, so that the mock stays small.
	backlogBytesMax = 1 << 20
)

// stream is one paced answer. Only the wheel touches it after it was added.
type stream struct {
	raw       syscall.RawConn
	token     []byte
	ending    []byte
	backlog   []byte
	remaining int
	done      chan bool
}

// wheel paces every stream of the process with one goroutine and no timer of their own.
type wheel struct {
	lock     sync.Mutex
	slots    [wheelSlots][]*stream
	at       int
	interval int
	start    time.Time
}

func newWheel(interval time.Duration) *wheel {
	return &wheel{interval: int(interval / time.Millisecond), start: time.Now()}
}

func (w *wheel) add(s *stream) {
	w.lock.Lock()
	slot := (w.at + w.interval) % wheelSlots
	w.slots[slot] = append(w.slots[slot], s)
	w.lock.Unlock()
}

func (w *wheel) run() {
	for tick := 1; ; tick++ {
		time.Sleep(time.Until(w.start.Add(time.Duration(tick) * time.Millisecond)))
		w.lock.Lock()
		w.at = tick % wheelSlots
		due := w.slots[w.at]
		next := (w.at + w.interval) % wheelSlots
		for i, s := range due {
			due[i] = nil
			if s.step() {
				w.slots[next] = append(w.slots[next], s)
			}
		}
		w.slots[w.at] = due[:0]
		w.lock.Unlock()
	}
}

// step sends what is due now and says whether the stream goes on.
func (s *stream) step() bool {
	if s.remaining > 1 {
		s.remaining--
		if s.send(s.token) {
			return true
		}
		s.done <- false
		return false
	}
	if s.remaining == 1 {
		s.remaining = 0
		if !s.send(s.ending) {
			s.done <- false
			return false
		}
	} else if !s.send(nil) {
		s.done <- false
		return false
	}
	if len(s.backlog) > 0 {
		return true
	}
	s.done <- true
	return false
}

// send never blocks: bytes that the socket does not take now wait for the next step.
func (s *stream) send(data []byte) bool {
	if len(s.backlog) > 0 {
		if len(s.backlog)+len(data) > backlogBytesMax {
			return false
		}
		s.backlog = append(s.backlog, data...)
		data = s.backlog
	}
	if len(data) == 0 {
		return true
	}
	written, failed := 0, false
	err := s.raw.Write(func(fd uintptr) bool {
		n, err := syscall.Write(int(fd), data)
		if n > 0 {
			written = n
		}
		failed = err != nil && err != syscall.EAGAIN && err != syscall.EINTR
		return true
	})
	if err != nil || failed {
		return false
	}
	s.backlog = append(s.backlog[:0], data[written:]...)
	return true
}

func isStream(req request) bool {
	if req.path != "/v1/chat/completions" && req.path != "/v1/completions" {
		return false
	}
	return bytes.Contains(req.body, []byte(`"stream":true`)) || bytes.Contains(req.body, []byte(`"stream": true`))
}

// streamAnswer sends the head and first token at once, leaves the rest to the wheel and waits for its end.
func streamAnswer(conn *net.TCPConn, pod *pod, wheel *wheel, req request) bool {
	promptTokens, cachedTokens := pod.prompt(req.body)
	tokens := intField(req.body, `"max_tokens":`, intField(req.body, `"max_completion_tokens":`, 16))
	id := pod.id() + pod.idSuffix
	words := chatDialect
	if req.path == "/v1/completions" {
		words = textDialect
	}
	if bytes.Contains(req.body, []byte(`"return_token_ids":true`)) {
		words = words.withIDs(promptTokens)
	}
	ending := event(fmt.Sprintf(words.last, id))
	if bytes.Contains(req.body, []byte(`"include_usage":true`)) || bytes.Contains(req.body, []byte(`"include_usage": true`)) {
		ending += event(fmt.Sprintf(words.usage, id, promptTokens, promptTokens+tokens, tokens, cachedTokens))
	}
	ending += event("[DONE]") + "0\r\n\r\n"
	token := event(fmt.Sprintf(words.token, id))
	opening := streamHead
	if words.first != "" {
		opening += event(fmt.Sprintf(words.first, id))
	}
	if tokens == 1 {
		_, err := conn.Write([]byte(opening + ending))
		return err == nil
	}
	if _, err := conn.Write([]byte(opening + token)); err != nil {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	pod.running.Add(1)
	defer pod.running.Add(-1)
	s := &stream{raw: raw, token: []byte(token), ending: []byte(ending), remaining: tokens - 1, done: make(chan bool, 1)}
	wheel.add(s)
	return <-s.done
}
