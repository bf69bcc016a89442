package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	modelName = "mock-model"
	// What a pod says about its KV cache; 320k tokens is a 32B model on two 80 GB GPUs.
	blockSizeTokens = 16
	kvBlocks        = 20_000
	// Prompts are remembered at this granularity, so cached_tokens comes in steps of 256 tokens (4 bytes each).
	prefixStepBytes = 1024
	prefixStepsMax  = 1 << 17
	bytesPerToken   = 4
)

// pod answers for one vLLM endpoint and remembers which prompt prefixes it has seen, so that its cached_tokens
// reward a gateway that routes by prefix.
type pod struct {
	lock     sync.Mutex
	prefixes map[uint64]struct{}
	seed     maphash.Seed
	nextId   atomic.Uint64
	idSuffix string
	renders  bool
	running  atomic.Int64
	requests atomic.Int64
	prompted atomic.Int64
	cached   atomic.Int64
}

func newPod(port string, renders bool) *pod {
	return &pod{
		prefixes: make(map[uint64]struct{}),
		seed:     maphash.MakeSeed(),
		idSuffix: port,
		renders:  renders,
	}
}

// prompt counts the tokens of a request body and those of them that this pod has seen at the same place.
func (p *pod) prompt(body []byte) (promptTokens, cachedTokens int) {
	promptTokens = len(body)/bytesPerToken + 1
	var hash maphash.Hash
	hash.SetSeed(p.seed)
	contiguous := true
	p.lock.Lock()
	if len(p.prefixes) > prefixStepsMax {
		clear(p.prefixes)
	}
	for at := 0; at+prefixStepBytes <= len(body); at += prefixStepBytes {
		hash.Write(body[at : at+prefixStepBytes])
		key := hash.Sum64()
		if _, seen := p.prefixes[key]; seen && contiguous {
			cachedTokens += prefixStepBytes / bytesPerToken
		} else {
			contiguous = false
			p.prefixes[key] = struct{}{}
		}
	}
	p.lock.Unlock()
	p.requests.Add(1)
	p.prompted.Add(int64(promptTokens))
	p.cached.Add(int64(cachedTokens))
	return promptTokens, cachedTokens
}

// id is 16 hex digits, unique in this pod's life.
func (p *pod) id() string {
	return fmt.Sprintf("%016x", p.nextId.Add(1))
}

func (p *pod) answer(req request) []byte {
	path, _, _ := strings.Cut(req.path, "?")
	switch path {
	case "/v1/chat/completions":
		return p.completion(req, chatHead, chatTail)
	case "/v1/completions":
		return p.completion(req, textHead, textTail)
	case "/v1/chat/completions/render":
		if !p.renders {
			return respond("404 Not Found", "application/json", []byte(notFoundJson))
		}
		return respond("200 OK", "application/json", p.render(req.body))
	case "/health", "/ping":
		return respond("200 OK", "application/json", nil)
	case "/v1/models":
		return respond("200 OK", "application/json", []byte(modelsJson))
	case "/version":
		return respond("200 OK", "application/json", []byte(`{"version":"0.32.0"}`))
	case "/load":
		return respond("200 OK", "application/json", []byte(`{"server_load":`+strconv.FormatInt(p.running.Load(), 10)+`}`))
	case "/metrics":
		return respond("200 OK", "text/plain; version=1.0.0; charset=utf-8", []byte(p.metrics()))
	default:
		return respond("404 Not Found", "application/json", []byte(notFoundJson))
	}
}

func (p *pod) completion(req request, head, tail string) []byte {
	promptTokens, cachedTokens := p.prompt(req.body)
	completionTokens := intField(req.body, `"max_tokens":`, 16)
	var body bytes.Buffer
	body.Grow(1024)
	fmt.Fprintf(&body, head, p.id()+p.idSuffix)
	fmt.Fprintf(&body, tail, promptTokens, promptTokens+completionTokens, completionTokens, cachedTokens)
	return respond("200 OK", "application/json", body.Bytes())
}

// render gives the token ids of a chat, which vllm-router asks of every pod before a cache-aware pick.
func (p *pod) render(body []byte) []byte {
	out := make([]byte, 0, 512+len(body)*2)
	out = append(out, `{"request_id":"chatcmpl-`...)
	out = append(out, p.id()...)
	out = append(out, `","token_ids":[0`...)
	for at := 0; at+bytesPerToken <= len(body); at += bytesPerToken {
		out = append(out, ',')
		out = strconv.AppendUint(out, uint64(binary.LittleEndian.Uint32(body[at:])%150_000), 10)
	}
	return append(out, renderTail...)
}

func respond(status, contentType string, body []byte) []byte {
	out := make([]byte, 0, 192+len(body))
	out = append(out, "HTTP/1.1 "...)
	out = append(out, status...)
	out = append(out, "\r\ndate: Sun, 22 Nov 2026 11:27:00 GMT\r\nserver: uvicorn\r\ncontent-length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	out = append(out, "\r\ncontent-type: "...)
	out = append(out, contentType...)
	out = append(out, "\r\n\r\n"...)
	return append(out, body...)
}

// intField finds a number by plain search: the load generator's prompts never contain a field name.
func intField(body []byte, name string, otherwise int) int {
	at := bytes.Index(body, []byte(name))
	if at < 0 {
		return otherwise
	}
	rest := bytes.TrimLeft(body[at+len(name):], " ")
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	value, err := strconv.Atoi(string(rest[:end]))
	if err != nil || value < 1 {
		return otherwise
	}
	return value
}
