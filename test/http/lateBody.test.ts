import { expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { formParts, formType } from "./formBody.ts"
import { TestFront } from "./TestFront.ts"

/** A body in chunks, whose client goes on with it long after its request was refused. */
const lateBody = async (front: TestFront, path: string, type: string, first: string, late: string): Promise<string> => {
  const refused = Promise.withResolvers<void>()
  const over = Promise.withResolvers<string>()
  let answer = ""
  const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: front.server.port,
    socket: {
      data: (_socket, bytes) => {
        answer += bytes.toString("latin1")
        if (answer.includes("\r\n\r\n")) refused.resolve()
      },
      close: () => over.resolve(answer),
      error: () => {}
    }
  })
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n${chunk(first)}`
  )
  await refused.promise
  socket.write(chunk(late))
  socket.write("0\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
  return over.promise
}

const [beforeFile] = formParts("whisper", true)

test.each([
  ["a body", "/v1/completions", "application/json", "{", "x".repeat(5_000)],
  ["a form in memory", "/v1/audio/transcriptions", formType, beforeFile, "x".repeat(5_000)],
  ["a form on disk", "/v1/audio/transcriptions", formType, beforeFile, "x".repeat(50_000)]
])("what comes of %s after its request has ended takes no room", async (_what, path, type, first, late) => {
  const spoolParent = mkdtempSync(join(tmpdir(), "warmroute-test-"))
  try {
    const options = { bodyReadTimeoutMs: 30, multipartMemoryMax: 20_000, spoolParent }
    await using front = new TestFront([], { options })
    expect(await lateBody(front, path, type, first, late)).toStartWith("HTTP/1.1 408 ")
    expect(front.server.heldBytes()).toEqual({ memory: 0, disk: 0, rescue: 0 })
    expect(front.logged).toEqual([])
  } finally {
    rmSync(spoolParent, { recursive: true })
  }
})
