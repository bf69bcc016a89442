package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A request that takes longer than this has failed.
const requestTimeout = 60 * time.Second

// client is one keep-alive HTTP/1.1 connection. net/http would cost more CPU than some of the gateways.
type client struct {
	host   string
	conn   net.Conn
	reader *bufio.Reader
	out    []byte
	body   []byte
}

// answer is what one request got. Times are those of the first byte of the body, or of the first SSE event.
type answer struct {
	firstAt time.Time
	endAt   time.Time
	events  int
	done    bool
}

func newClient(host string) *client {
	return &client{host: host, body: make([]byte, 16<<10)}
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// send writes one request and reads its answer to the end; after an error the connection is not used again.
// onEvents, when given, is told of every read that ended SSE events.
func (c *client) send(p *prompts, maxTokens int, onEvents func(count int)) (answer, error) {
	a, err := c.exchange(p, maxTokens, onEvents)
	if err != nil {
		c.close()
	}
	return a, err
}

func (c *client) exchange(p *prompts, maxTokens int, onEvents func(count int)) (answer, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp4", c.host, 5*time.Second)
		if err != nil {
			return answer{}, errors.New("connect failed")
		}
		c.conn = conn
		c.reader = bufio.NewReaderSize(conn, 8<<10)
	}
	c.conn.SetDeadline(time.Now().Add(requestTimeout))
	c.out = p.write(c.out[:0], c.host, maxTokens)
	if _, err := c.conn.Write(c.out); err != nil {
		return answer{}, errors.New("write failed")
	}
	head, err := readHead(c.reader)
	if err != nil {
		return answer{}, err
	}
	a := answer{}
	counter := eventCounter{}
	seen := func(data []byte) {
		now := time.Now()
		count := counter.feed(data)
		if a.firstAt.IsZero() && (onEvents == nil || count > 0) {
			a.firstAt = now
		}
		a.events += count
		if onEvents != nil && count > 0 {
			onEvents(count)
		}
	}
	if err := c.readBody(head, seen); err != nil {
		return a, err
	}
	a.endAt = time.Now()
	a.done = counter.done
	if head.close {
		c.close()
	}
	if head.status != 200 {
		return a, fmt.Errorf("status %d", head.status)
	}
	return a, nil
}

type head struct {
	status  int
	length  int
	chunked bool
	close   bool
}

func readHead(reader *bufio.Reader) (head, error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return head{}, readError("head", err)
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return head{}, errors.New("not an HTTP/1.1 answer")
	}
	h := head{length: -1}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, errors.New("not an HTTP/1.1 answer")
	}
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return h, readError("head", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if h.length, err = strconv.Atoi(string(value)); err != nil {
				return h, errors.New("bad content-length")
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			h.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("connection")):
			h.close = bytes.EqualFold(value, []byte("close"))
		}
	}
}

func (c *client) readBody(h head, seen func([]byte)) error {
	if !h.chunked {
		if h.length < 0 {
			return errors.New("answer has neither a length nor chunks")
		}
		return c.readBytes(h.length, seen)
	}
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return readError("body", err)
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return errors.New("bad chunk size")
		}
		if err := c.readBytes(int(size), seen); err != nil {
			return err
		}
		if _, err := c.reader.Discard(2); err != nil {
			return readError("body", err)
		}
		if size == 0 {
			return nil
		}
	}
}

func (c *client) readBytes(length int, seen func([]byte)) error {
	for length > 0 {
		n, err := c.reader.Read(c.body[:min(length, len(c.body))])
		if n > 0 {
			seen(c.body[:n])
			length -= n
		}
		if err != nil {
			return readError("body", err)
		}
	}
	return nil
}

func readError(where string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("timed out in the " + where)
	}
	if errors.Is(err, io.EOF) {
		return errors.New("connection closed in the " + where)
	}
	return errors.New("connection broke in the " + where)
}

var (
	dataField = []byte("data: ")
	doneField = []byte("data: [DONE]")
)

// eventCounter counts SSE data fields in bytes that may be cut anywhere.
type eventCounter struct {
	carry []byte
	done  bool
}

func (e *eventCounter) feed(data []byte) int {
	if len(e.carry) > 0 {
		data = append(e.carry, data...)
	}
	count := bytes.Count(data, dataField)
	if count > 0 && bytes.Contains(data[bytes.LastIndex(data, dataField):], doneField) {
		e.done = true
	}
	// A field cut by the end of these bytes is kept for the next; [DONE] is looked for again in the longer tail.
	keep := 0
	for n := min(len(dataField)-1, len(data)); n > 0; n-- {
		if bytes.HasPrefix(dataField, data[len(data)-n:]) {
			keep = n
			break
		}
	}
	e.carry = append(e.carry[:0], data[len(data)-keep:]...)
	return count
}
