/** Writes bytes to a port and gives back everything that came until `until` is in it or the other side closed. */
export const rawExchange = (port: number, bytes: string, until?: string): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let received = ""
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => void socket.write(Buffer.from(bytes, "latin1")),
      data: (socket, data) => {
        received += data.toString("latin1")
        if (until === undefined || !received.includes(until)) return
        resolve(received)
        socket.terminate()
      },
      close: () => resolve(received),
      error: (_socket, error) => reject(error)
    }
  }).catch(reject)
  return promise
}

/** The first line of each answer. */
export const statuses = (received: string): ReadonlyArray<number> =>
  [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))
