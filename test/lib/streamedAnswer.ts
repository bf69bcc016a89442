/** What a scripted pod writes to stream events, piece by piece. */
export const streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

export const event = (data: string): string => {
  const text = `data: ${data}\n\n`
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
}

export const streamEnd = "0\r\n\r\n"
