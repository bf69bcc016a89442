import { afterEach, describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { type PodAddress, podAddress } from "../../src/core/Pod.ts"
import { makePodProbe, PodProbeError } from "../../src/vllm/PodProbe.ts"

const fixture = (name: string) => new URL(`../fixtures/vllm-http/${name}`, import.meta.url)
const metricsPage = readFileSync(fixture("metrics-after-load.prom"), "utf8")
const modelsBody = JSON.stringify(
  (JSON.parse(readFileSync(fixture("models.res.json"), "utf8")) as { body_json: unknown }).body_json
)

/** Longer than any test takes on a busy machine. */
const patientMs = 15_000
const closers: Array<() => void> = []

afterEach(() => {
  for (const close of closers.splice(0)) close()
})

const podWith = (answer: (request: Request) => Response | Promise<Response>): PodAddress => {
  const server = Bun.serve({ port: 0, idleTimeout: 0, fetch: answer })
  closers.push(() => void server.stop(true))
  return podAddress("127.0.0.1", server.port ?? 0, false)
}

/** A pod that answers with these bytes and then neither writes nor closes; `closed` is when the probe hung up. */
const rawPod = (bytes: string): { address: PodAddress; closed: Promise<void> } => {
  const closed = Promise.withResolvers<void>()
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.write(bytes), close: () => closed.resolve() }
  })
  closers.push(() => server.stop(true))
  return { address: podAddress("127.0.0.1", server.port, false), closed: closed.promise }
}

const failure = async (asked: Promise<unknown>): Promise<PodProbeError> => {
  const error = await asked.then((value) => new Error(`answered ${JSON.stringify(value)}`), (cause: unknown) => cause)
  if (!(error instanceof PodProbeError)) throw error
  return error
}

describe("a pod that answers", () => {
  const address = () =>
    podWith((request) => {
      const path = new URL(request.url).pathname
      if (path === "/metrics") return new Response(metricsPage)
      if (path === "/v1/models") return new Response(modelsBody)
      if (path === "/version") return Response.json({ version: "0.32.0" })
      return new Response(null, { status: path === "/health" ? 200 : 404 })
    })

  test("gives its metrics", async () => {
    expect(await makePodProbe().metrics(address(), patientMs)).toMatchObject({ running: 1, gpuBlocks: 48 })
  })

  test("gives its model cards with every field", async () => {
    const models = await makePodProbe().models(address(), patientMs)
    expect<unknown>(models).toEqual((JSON.parse(modelsBody) as { data: unknown }).data)
  })

  test("gives its health and version", async () => {
    const pod = address()
    expect(await makePodProbe().health(pod, patientMs)).toBe(true)
    expect(await makePodProbe().version(pod, patientMs)).toBe("0.32.0")
  })

  test("is asked without the proxy of the environment", async () => {
    const before = process.env["http_proxy"]
    process.env["http_proxy"] = "http://127.0.0.1:9"
    try {
      expect(await makePodProbe().health(address(), patientMs)).toBe(true)
    } finally {
      if (before === undefined) delete process.env["http_proxy"]
      else process.env["http_proxy"] = before
    }
  })

  test("without the route has no version", async () => {
    expect(await makePodProbe().version(podWith(() => new Response(null, { status: 404 })), patientMs)).toBeUndefined()
  })

  test("with 503 is not healthy", async () => {
    expect(await makePodProbe().health(podWith(() => new Response(null, { status: 503 })), patientMs)).toBe(false)
  })
})

describe("a pod that misbehaves", () => {
  test("by a redirect is not followed", async () => {
    let elsewhere = 0
    const target = podWith(() => {
      elsewhere++
      return new Response(metricsPage)
    })
    const pod = podWith(() => Response.redirect(`http://${target.id}/metrics`, 302))
    expect((await failure(makePodProbe().metrics(pod, patientMs))).why).toBe(
      "answered 302; a pod must not send us elsewhere"
    )
    expect(elsewhere).toBe(0)
  })

  test("by a page without an end is cut off at the limit and hung up on", async () => {
    const hungUp = Promise.withResolvers<void>()
    const pod = podWith(() =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(120)),
          cancel: () => hungUp.resolve()
        })
      )
    )
    const error = await failure(makePodProbe({ pageBytesMax: 1_000_000 }).metrics(pod, patientMs))
    expect(error.message).toBe("/metrics: the answer is longer than 1000000 bytes")
    await hungUp.promise
  })

  test("by announcing 50 MB is refused before they come", async () => {
    const pod = rawPod("HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\nvllm")
    expect((await failure(makePodProbe().metrics(pod.address, patientMs))).why).toContain("longer than 4194304 bytes")
    await pod.closed
  })

  test("by never answering runs out of time and is hung up on", async () => {
    const pod = rawPod("")
    expect((await failure(makePodProbe().health(pod.address, 50))).why).toBe("no whole answer within 50 ms")
    await pod.closed
  })

  test("by stopping in the middle of the body runs out of time and is hung up on", async () => {
    const pod = rawPod("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nvllm:num")
    expect((await failure(makePodProbe().metrics(pod.address, 50))).why).toBe("no whole answer within 50 ms")
    await pod.closed
  })

  test("by packed bytes is not unpacked", async () => {
    const packed = Bun.gzipSync(new Uint8Array(20_000_000))
    const pod = podWith(() => new Response(packed, { headers: { "content-encoding": "gzip" } }))
    expect((await failure(makePodProbe().metrics(pod, patientMs))).why).toContain("vllm:num_requests_running")
  })

  test("by not speaking HTTP is an error", async () => {
    const pod = rawPod("\x00\xff\xfeSSH-2.0\r\n\r\n")
    expect((await failure(makePodProbe().metrics(pod.address, 2000)))._tag).toBe("PodProbeError")
  })

  test("by listening no more is an error", async () => {
    const pod = podWith(() => new Response())
    for (const close of closers.splice(0)) close()
    const { isRefused, why } = await failure(makePodProbe().health(pod, patientMs))
    expect(why).toStartWith("could not be asked: ")
    expect(isRefused).toBe(true)
  })

  test.each([
    ["404", () => new Response(null, { status: 404 }), "answered 404"],
    ["a web page", () => new Response("<html>hello</html>"), "the answer is not JSON"],
    ["a list", () => Response.json([]), "the answer's shape is wrong: Expected "],
    ["no data", () => Response.json({ object: "list" }), "the answer's data is wrong: is missing"],
    [
      "a card without id",
      () => Response.json({ data: [{ id: "a" }, {}] }),
      "the answer's data.1.id is wrong: is missing"
    ],
    ["an empty id", () => Response.json({ data: [{ id: "" }] }), "the answer's data.0.id is wrong: "],
    ["brackets without end", () => new Response("[".repeat(900_000)), "the answer is not JSON"],
    [
      "a bottomless card",
      () => new Response(`{"data":[{"id":"a","x":${"[".repeat(400_000)}${"]".repeat(400_000)}}]}`),
      "the answer nests deeper than 32 levels"
    ],
    [
      "many models",
      () => Response.json({ data: Array.from({ length: 1001 }, (_, i) => ({ id: `m${i}` })) }),
      "lists 1001 models, more than the 1000 we take"
    ]
  ])("by %s for models is an error that says so", async (_, answer, why) => {
    expect((await failure(makePodProbe().models(podWith(answer), patientMs))).why).toStartWith(why)
  })
})

describe("many pods", () => {
  test("that hang leave room for those that answer", async () => {
    const probe = makePodProbe({ probesMax: 4, suspectProbesMax: 2 })
    const hanging = Array.from({ length: 20 }, () => rawPod("").address)
    await Promise.all(hanging.map((pod) => failure(probe.health(pod, 20))))
    const held = hanging.map((pod) => failure(probe.health(pod, patientMs)))
    const prompt = podWith(() => new Response(null))
    expect(await Promise.all(Array.from({ length: 50 }, () => probe.health(prompt, patientMs)))).not.toContain(false)
    for (const close of closers.splice(0)) close()
    await Promise.all(held)
  })

  test("are all asked in turn when they are more than the turns", async () => {
    const probe = makePodProbe({ probesMax: 3 })
    let under = 0
    let most = 0
    const pod = podWith(async () => {
      most = Math.max(most, ++under)
      await Promise.resolve()
      under--
      return new Response(metricsPage)
    })
    const pages = await Promise.all(Array.from({ length: 100 }, () => probe.metrics(pod, patientMs)))
    expect(pages.every((metrics) => metrics.gpuBlocks === 48)).toBe(true)
    expect(most).toBeLessThanOrEqual(3)
  })

  test("that come back are asked with the prompt ones again", async () => {
    const probe = makePodProbe({ probesMax: 1, suspectProbesMax: 1 })
    let sick = true
    const pod = podWith(() => sick ? new Promise<Response>(() => {}) : new Response(null))
    await failure(probe.health(pod, 20))
    sick = false
    expect(await probe.health(pod, patientMs)).toBe(true)
    // A pod that hangs now takes the one turn of the silent ones, which no longer matters to the first.
    const silent = rawPod("").address
    await failure(probe.health(silent, 20))
    const held = failure(probe.health(silent, patientMs))
    expect(await probe.health(pod, patientMs)).toBe(true)
    for (const close of closers.splice(0)) close()
    await held
  })

  test("beyond the waiting places are refused in words", async () => {
    const probe = makePodProbe({ probesMax: 1, waitingMax: 1 })
    const pod = rawPod("").address
    const first = failure(probe.health(pod, patientMs))
    const second = failure(probe.health(pod, patientMs))
    expect((await failure(probe.health(pod, patientMs))).why).toBe("not asked: 1 probes wait already")
    for (const close of closers.splice(0)) close()
    await Promise.all([first, second])
  })
})
