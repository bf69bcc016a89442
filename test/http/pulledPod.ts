/** A pod whose answer is `pieces` times `piece`, written only as fast as it is read. */
export const pulledPod = (piece: string, pieces: number, headers: Record<string, string> = {}) => {
  let written = 0
  const server = Bun.serve({
    port: 0,
    idleTimeout: 0,
    fetch: () =>
      new Response(
        new ReadableStream({
          pull: (controller) => {
            if (written === pieces) return controller.close()
            written++
            controller.enqueue(Buffer.from(piece))
          }
        }),
        { headers }
      )
  })
  return {
    port: server.port ?? 0,
    /** Pieces handed to the socket so far. */
    written: () => written,
    /** Resolves when nothing moves any more: all buffers on the way are full. */
    atRest: async (lookEveryMs: number): Promise<void> => {
      for (let before = -1; before !== written;) {
        before = written
        await Bun.sleep(lookEveryMs)
      }
    },
    stop: () => server.stop(true)
  }
}
