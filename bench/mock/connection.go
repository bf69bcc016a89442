package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
)

// Bodies above this are answered by closing the connection; the longest prompt of the bench is far below it.
const bodyBytesMax = 16 << 20

type request struct {
	method    string
	path      string
	body      []byte
	keepAlive bool
}

// serveConnection reads requests one after the other; net/http would cost twice as much for each.
func serveConnection(conn *net.TCPConn, pod *pod, wheel *wheel) {
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 16<<10)
	var body []byte
	for {
		req, err := readRequest(reader, conn, body)
		if err != nil {
			return
		}
		body = req.body[:0]
		if isStream(req) {
			if !streamAnswer(conn, pod, wheel, req) {
				return
			}
		} else if _, err := conn.Write(pod.answer(req)); err != nil {
			return
		}
		if !req.keepAlive {
			return
		}
	}
}

func readRequest(reader *bufio.Reader, conn *net.TCPConn, buffer []byte) (request, error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return request{}, err
	}
	parts := bytes.SplitN(bytes.TrimRight(line, "\r\n"), []byte(" "), 3)
	if len(parts) != 3 {
		return request{}, errors.New("malformed request line")
	}
	req := request{method: string(parts[0]), path: string(parts[1]), keepAlive: string(parts[2]) == "HTTP/1.1"}
	length, chunked := 0, false
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return req, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > bodyBytesMax {
				return req, errors.New("bad content-length")
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("connection")):
			req.keepAlive = !bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("expect")):
			if _, err := conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
				return req, err
			}
		}
	}
	if chunked {
		req.body, err = readChunks(reader, buffer[:0])
		return req, err
	}
	if cap(buffer) < length {
		buffer = make([]byte, length)
	}
	req.body = buffer[:length]
	_, err = io.ReadFull(reader, req.body)
	return req, err
}

func readChunks(reader *bufio.Reader, body []byte) ([]byte, error) {
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return body, err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil || len(body)+int(size) > bodyBytesMax {
			return body, errors.New("bad chunk size")
		}
		start := len(body)
		body = append(body, make([]byte, size)...)
		if _, err := io.ReadFull(reader, body[start:]); err != nil {
			return body, err
		}
		if _, err := reader.Discard(2); err != nil {
			return body, err
		}
		if size == 0 {
			return body, nil
		}
	}
}
