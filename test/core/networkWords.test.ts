import { expect, test } from "bun:test"
import { networkWords } from "../../src/core/networkWords.ts"

const failed = (url: string): Promise<unknown> => fetch(url).catch((cause: unknown) => cause)

test("a refused connection is told in our own words, however it was asked for", async () => {
  const gone = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() })
  const { port } = gone
  await gone.stop(true)
  const connected = await Bun.connect({ hostname: "127.0.0.1", port: port ?? 0, socket: { data: () => {} } })
    .catch((cause: unknown) => cause)
  expect([networkWords(await failed(`http://127.0.0.1:${port}`)), networkWords(connected)]).toEqual([
    "the connection was refused (ECONNREFUSED)",
    "the connection was refused (ECONNREFUSED)"
  ])
})

test("so is one that was closed before its answer", async () => {
  const rude = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.terminate() }
  })
  expect(networkWords(await failed(`http://127.0.0.1:${rude.port}`))).toBe(
    "the connection was closed in the middle (ECONNRESET)"
  )
  rude.stop(true)
})

test("what is no fault of the network says what it says", () => {
  expect([networkWords(new Error("no keys")), networkWords("gone")]).toEqual(["no keys", "gone"])
})
