import { expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { formParts, formType, hashingPod } from "../http/formBody.ts"
import { startWarmroute } from "../lib/commandLine.ts"
import { configFile } from "../lib/configFile.ts"

const mib = 1024 * 1024
const fileBytes = 200 * mib
const growthMax = 40 * mib

const kbOf = (pid: number, row: string): number =>
  Number(new RegExp(`${row}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1])

/** A gateway in a process of its own, so that its memory can be told from the client's and the pod's. */
const startGateway = async (pod: string) => {
  const file = configFile({
    listen: { hostname: "127.0.0.1", port: 0 },
    admin: { enabled: false },
    pods: [pod],
    snapshot: { enabled: false },
    reload: { watch: false },
    log: { level: "none" }
  })
  const gateway = startWarmroute(["serve", "--config", file.path])
  const [url = ""] = /http:\/\/127\.0\.0\.1:\d+/.exec(await gateway.printed("curl")) ?? []
  return {
    url,
    pid: gateway.pid,
    stop: async () => {
      gateway.signal("SIGTERM")
      await gateway.ended
      file.remove()
    }
  }
}

/** Sends the form as fast as it is taken; the answer's body and the hash of what was sent. */
const sendForm = async (url: string, [before, after]: readonly [string, string]) => {
  const hash = createHash("sha256")
  const piece = Buffer.alloc(mib)
  const length = before.length + fileBytes + after.length
  const answered = Promise.withResolvers<string>()
  const out = request(url, { method: "POST", headers: { "content-type": formType, "content-length": length } })
  out.on("error", answered.reject)
  out.on("response", async (answer) => answered.resolve(Buffer.concat(await answer.toArray()).toString()))
  const write = async (bytes: Buffer): Promise<void> => {
    hash.update(bytes)
    const taken = Promise.withResolvers<void>()
    out.write(bytes, () => taken.resolve())
    await taken.promise
  }
  await write(Buffer.from(before))
  for (let sent = 0; sent < fileBytes; sent += mib) {
    piece.writeUInt32LE(sent, 17)
    await write(Buffer.from(piece))
  }
  await write(Buffer.from(after))
  out.end()
  return { answer: JSON.parse(await answered.promise), length, sha: hash.digest("hex") }
}

test("200 MiB of audio pass through a gateway that grows by less than 40 MiB", async () => {
  using pod = hashingPod()
  const gateway = await startGateway(pod.url.origin)
  try {
    const url = `${gateway.url}/v1/audio/transcriptions`
    const before = kbOf(gateway.pid, "VmRSS") * 1024
    // From here on the kernel counts the most memory anew.
    writeFileSync(`/proc/${gateway.pid}/clear_refs`, "5")
    const { answer, length, sha } = await sendForm(url, formParts("whisper", false))
    expect(answer).toEqual({ bytes: length, announced: `${length}`, sha })
    const growth = kbOf(gateway.pid, "VmHWM") * 1024 - before
    expect(growth).toBeLessThan(growthMax)
  } finally {
    await gateway.stop()
  }
}, 30_000)
