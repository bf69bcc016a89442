package main

import (
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync/atomic"
)

const words = "model cache token block prefix warm route pod queue batch weight layer stream answer question table " +
	"river stone winter garden letter engine signal number window paper silver market"

// prompts makes request bodies: a system message that its group shares, then a user message that is unique.
type prompts struct {
	heads  []string
	filler string
	tail   string
	runId  string
	next   atomic.Uint64
}

func newPrompts(o options) *prompts {
	random := rand.New(rand.NewSource(1))
	p := &prompts{runId: o.runId, filler: text(random, o.uniqueBytes)}
	for group := range o.groups {
		shared := fmt.Sprintf("Group %d. ", group)
		shared += text(random, o.sharedBytes-len(shared))
		p.heads = append(p.heads, `{"model":"mock-model","messages":[{"role":"system","content":"`+shared+
			`"},{"role":"user","content":"`)
	}
	p.tail = "}"
	if o.mode == "streams" {
		p.tail = `,"stream":true,"stream_options":{"include_usage":true}}`
	}
	return p
}

// write appends a whole HTTP request for the next prompt.
func (p *prompts) write(out []byte, host string, maxTokens int) []byte {
	number := p.next.Add(1)
	// A multiplicative step visits the groups in an order that is neither sorted nor random between runs.
	head := p.heads[number*2654435761%uint64(len(p.heads))]
	limit := `"}],"max_tokens":` + strconv.Itoa(maxTokens)
	unique := "Run " + p.runId + " question " + strconv.FormatUint(number, 10) + ": "
	filler := p.filler[min(len(unique), len(p.filler)):]
	out = append(out, "POST /v1/chat/completions HTTP/1.1\r\nhost: "...)
	out = append(out, host...)
	out = append(out, "\r\ncontent-type: application/json\r\nauthorization: Bearer none\r\nuser-agent: bench\r\ncontent-length: "...)
	out = strconv.AppendInt(out, int64(len(head)+len(unique)+len(filler)+len(limit)+len(p.tail)), 10)
	out = append(out, "\r\n\r\n"...)
	out = append(out, head...)
	out = append(out, unique...)
	out = append(out, filler...)
	out = append(out, limit...)
	return append(out, p.tail...)
}

func text(random *rand.Rand, bytes int) string {
	list := strings.Fields(words)
	var out strings.Builder
	for out.Len() < bytes {
		out.WriteString(list[random.Intn(len(list))])
		out.WriteByte(' ')
	}
	return out.String()[:max(bytes, 0)]
}
