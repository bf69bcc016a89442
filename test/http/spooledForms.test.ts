import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { podAddress } from "../../src/core/Pod.ts"
import { FormScanner } from "../../src/http/features/FormScanner.ts"
import { SpoolFolder } from "../../src/http/spool/SpoolFolder.ts"
import { eventually } from "../lib/eventually.ts"
import { formParts, formType, hashingPod, sha256 } from "./formBody.ts"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"

const path = "/v1/audio/transcriptions"
const kib = 1024

let parent = ""
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "warmroute-test-"))
})
afterEach(() => rmSync(parent, { recursive: true }))

const spoolPath = () => new SpoolFolder(parent).path
/** Nameless files of the folder that this process has open. */
const openFiles = (): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(join("/proc/self/fd", fd)).startsWith(parent)
    } catch {
      return false
    }
  }).length
const allGivenBack = () => eventually("every file given back", () => openFiles() === 0)

const bytesOf = (bytes: number): Buffer => {
  const file = Buffer.alloc(bytes)
  for (let i = 0; i < bytes; i++) file[i] = (i * 31 + (i >> 8)) & 255
  return file
}
const formOf = (model: string, modelFirst: boolean, file: Buffer): Buffer => {
  const [before, after] = formParts(model, modelFirst)
  return Buffer.concat([Buffer.from(before), file, Buffer.from(after)])
}
const inPieces = async function*(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000)
}
const limits = (others: object = {}) => ({ options: { multipartMemoryMax: 64 * kib, spoolParent: parent, ...others } })
const send = (front: TestFront, body: Buffer | AsyncGenerator<Buffer>) =>
  fetch(front.url + path, { method: "POST", headers: { "content-type": formType }, body: body as never })
const codeOf = async (
  answer: Response
) => [answer.status, ((await answer.json()) as { error: { code: string } }).error.code]

describe("a form that is too large for memory", () => {
  const cases = [[true, true], [true, false], [false, true], [false, false]] as const
  test.each(cases)("reaches the pod byte for byte (model first: %s, length known: %s)", async (modelFirst, isKnown) => {
    using pod = hashingPod()
    await using front = new TestFront([podAddress("127.0.0.1", pod.port ?? 0, false)], limits())
    const form = formOf("whisper", modelFirst, bytesOf(700 * kib))
    const answer = await send(front, isKnown ? form : inPieces(form))
    expect(await answer.json()).toEqual({ bytes: form.length, announced: `${form.length}`, sha: sha256(form) })
    expect(front.scheduler.picks.map(({ request }) => request.model)).toEqual(["whisper"])
    await front.quiet()
    await allGivenBack()
    expect(readdirSync(spoolPath())).toEqual([])
  })

  test.each([true, false])("gets the model that its alias stands for (model first: %s)", async (modelFirst) => {
    using pod = hashingPod()
    const aliases = new Map([["mine", "openai/whisper-large-v3"]])
    await using front = new TestFront([podAddress("127.0.0.1", pod.port ?? 0, false)], limits({ aliases }))
    const file = bytesOf(300 * kib)
    const answer = await send(front, formOf("mine", modelFirst, file))
    const sent = formOf("openai/whisper-large-v3", modelFirst, file)
    expect(await answer.json()).toEqual({ bytes: sent.length, announced: `${sent.length}`, sha: sha256(sent) })
  })

  test("is sent again where a pod broke off in its middle, and where one answered 503", async () => {
    using dying = new RawPod(() => {})
    let tries = 0
    using busy = hashingPod(() => tries++ === 0)
    const address = podAddress("127.0.0.1", busy.port ?? 0, false)
    using other = hashingPod()
    const otherAddress = podAddress("127.0.0.1", other.port ?? 0, false)
    await using front = new TestFront([dying.address, otherAddress, address], limits())
    const form = formOf("whisper", false, bytesOf(20 * 1024 * kib))
    const answering = send(front, form)
    await dying.until((pod) => pod.receivedBytes > 1024 * kib)
    dying.breakAll()
    expect(await (await answering).json()).toMatchObject({ bytes: form.length, sha: sha256(form) })
    expect(front.scheduler.outcomes()).toEqual(["failed", "failed", "finished"])
    await allGivenBack()
  })

  test("leaves nothing behind when its client leaves in the middle", async () => {
    await using front = new TestFront([], limits())
    const gone = new AbortController()
    const begun = Promise.withResolvers<void>()
    const body = async function*() {
      yield bytesOf(200 * kib)
      begun.resolve()
      await new Promise(() => {})
    }
    const headers = { "content-type": formType }
    const request = fetch(front.url + path, { method: "POST", headers, body: body() as never, signal: gone.signal })
    request.catch(() => {})
    await begun.promise
    await eventually("a file", () => openFiles() === 1)
    gone.abort()
    await front.quiet()
    await allGivenBack()
    expect([front.scheduler.picks.length, front.booked.at(-1), front.logged]).toEqual([
      0,
      `ended ${path} 499 aborted`,
      []
    ])
  })

  test("is a clear error where the disk does not take it", async () => {
    await using front = new TestFront([], limits({ spoolParent: join(parent, "missing") }))
    for (let i = 0; i < 3; i++) {
      const answer = await send(front, formOf("whisper", true, bytesOf(200 * kib)))
      expect(await codeOf(answer)).toEqual([503, "spool_failed"])
    }
    expect(front.logged).toHaveLength(1)
    const { path } = new SpoolFolder(join(parent, "missing"))
    expect(front.logged[0]).toStartWith(
      `a request's body could not be kept in ${path}: ENOENT: no such file or directory`
    )
    expect(front.logged[0]).not.toContain("\n")
  })

  test("is not put where others may look", async () => {
    mkdirSync(spoolPath())
    chmodSync(spoolPath(), 0o755)
    await using front = new TestFront([], limits())
    const answer = await send(front, formOf("whisper", true, bytesOf(200 * kib)))
    expect(await codeOf(answer)).toEqual([503, "spool_failed"])
    expect(readdirSync(spoolPath())).toEqual([])
  })

  test.each([true, false])("has bounds of its own and with all others (length known: %s)", async (isKnown) => {
    const form = formOf("whisper", true, bytesOf(300 * kib))
    const body = () => isKnown ? form : inPieces(form)
    await using one = new TestFront([], limits({ multipartBytesMax: 200 * kib }))
    expect(await codeOf(await send(one, body()))).toEqual([413, "body_too_large"])
    await using all = new TestFront([], limits({ spooledBytesMax: 200 * kib }))
    expect(await codeOf(await send(all, body()))).toEqual([429, "request_disk_full"])
    await allGivenBack()
  })

  test("may take its time, as long as it comes on", async () => {
    using pod = hashingPod()
    await using front = new TestFront(
      [podAddress("127.0.0.1", pod.port ?? 0, false)],
      limits({ bodyReadTimeoutMs: 300 })
    )
    const form = formOf("whisper", true, bytesOf(700 * kib))
    const slowly = async function*() {
      for (let at = 0; at < form.length; at += 80 * kib) {
        yield form.subarray(at, at + 80 * kib)
        await Bun.sleep(60)
      }
    }
    expect((await send(front, slowly())).status).toBe(200)
  })
})

test("what a crash left is removed at the start, what is being made is not", async () => {
  mkdirSync(spoolPath(), 0o700)
  const [old, fresh] = [join(spoolPath(), "old"), join(spoolPath(), "fresh")]
  for (const file of [old, fresh]) writeFileSync(file, "left")
  utimesSync(old, 1, 1)
  await using _front = new TestFront([], limits())
  await eventually("the old one is gone", () => !existsSync(old))
  expect(existsSync(fresh)).toBe(true)
})

test("a form is read the same however its bytes are cut", () => {
  const form = formOf("whisper", false, Buffer.from("\r\n--\r\n--B \r\n--b\r\n--B\r\nx\r\n\r\n\r\n"))
  const read = (pieces: ReadonlyArray<Uint8Array>) => {
    const scanner = new FormScanner("B", ["model"])
    for (const piece of pieces) scanner.push(piece)
    return scanner.end()
  }
  fc.assert(
    fc.property(fc.array(fc.nat(form.length)), fc.nat(form.length), fc.array(fc.nat(form.length)), (cuts, end, odd) => {
      const bytes = Buffer.from(form.subarray(0, end))
      for (const at of odd) if (at < end) bytes[at] = 45
      const at = [0, ...cuts.filter((cut) => cut < end).toSorted((a, b) => a - b), end]
      expect(read(at.map((from, i) => bytes.subarray(from, at[i + 1] ?? end)))).toEqual(read([bytes]))
    })
  )
})
