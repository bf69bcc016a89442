// Command mock serves vLLM look-alike pods that cost less CPU than any gateway in front of them.
//
// It prints one line, {"ports":[...]}, once every pod listens, and serves until it is killed. Every pod answers at
// once and paces streams by a shared wheel, so it has no engine to speak of: src/emulator is the place for that.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

func main() {
	pods := flag.Int("pods", 4, "pods to serve, each on an ephemeral port of its own")
	tokenMs := flag.Int("token-ms", 20, "milliseconds between two tokens of a stream")
	render := flag.Bool("render", true, "serve /v1/chat/completions/render, as vLLM 0.32 does; false answers 404")
	flag.Parse()
	if *tokenMs < 1 || *tokenMs >= wheelSlots {
		fmt.Fprintf(os.Stderr, "-token-ms must lie in 1..%d\n", wheelSlots-1)
		os.Exit(2)
	}
	debug.SetGCPercent(400)

	wheel := newWheel(time.Duration(*tokenMs) * time.Millisecond)
	go wheel.run()
	ports := make([]int, 0, *pods)
	for range *pods {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			fmt.Fprintln(os.Stderr, "cannot listen:", err)
			os.Exit(1)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		ports = append(ports, port)
		go serve(listener, newPod(strconv.Itoa(port), *render), wheel)
	}
	line, _ := json.Marshal(map[string]any{"ports": ports})
	fmt.Println(string(line))
	select {}
}

func serve(listener net.Listener, pod *pod, wheel *wheel) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "accept:", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serveConnection(conn.(*net.TCPConn), pod, wheel)
	}
}
