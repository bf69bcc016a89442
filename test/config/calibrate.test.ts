import { afterAll, describe, expect, test } from "bun:test"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { predictedTtftS } from "../../src/core/calibration.ts"
import { decodeStepSeconds, type EngineConstants } from "../../src/core/EngineConstants.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { startEmulatedPod } from "../../src/emulator/EmulatedPod.ts"
import { eventually } from "../lib/eventually.ts"
import { startWarmroute, warmroute } from "../lib/commandLine.ts"

const presetOf = (name: string): EngineConstants => {
  const constants = hardwarePresets[name]
  if (constants === undefined) throw new Error(`no preset ${name}`)
  return constants
}

const closing: Array<() => Promise<void>> = []
afterAll(async () => {
  await Promise.all(closing.map((close) => close()))
})

const podOf = (hardware: string, speed: number) => {
  const pod = startEmulatedPod({ constants: presetOf(hardware), speed, model: "emulated-8b" })
  closing.push(pod.stop)
  return pod
}

/** Enough of a pod to be asked to calibrate; the completions are up to `answer`. */
const fakePod = (answer: () => Response) => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => {
      const { pathname } = new URL(request.url)
      if (pathname === "/v1/models") return Response.json({ object: "list", data: [{ id: "m", max_model_len: 4096 }] })
      if (pathname === "/metrics") return new Response("vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n")
      return answer()
    }
  })
  closing.push(() => server.stop(true))
  return `http://127.0.0.1:${server.port}`
}

/** Prefill and decode times of an emulated pod are what matters; single constants trade places under noise. */
const TOLERANCE = 0.25

describe("calibrate", () => {
  test.each([["qwen3-32b-2xh100", 6], ["small", 10]])(
    "finds the speed of an emulated %s at %d times its speed, as YAML that serve takes",
    async (hardware, speed) => {
      const pod = podOf(hardware, speed)
      const file = join(await mkdtemp(join(tmpdir(), "warmroute-calibrate-")), "hardware.yaml")
      const ran = await warmroute(["calibrate", "--pod", pod.url, "--out", file, "--within", "8s", "--json"])
      expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining("R²")])
      const { hardware: found } = JSON.parse(ran.stdout) as { hardware: EngineConstants }
      const truth = presetOf(hardware)
      for (const promptTokens of [1024, 4096, 8192]) {
        const ratio = predictedTtftS(found, promptTokens) * speed / predictedTtftS(truth, promptTokens)
        expect(Math.abs(ratio - 1)).toBeLessThan(TOLERANCE)
      }
      for (const requests of [1, 8, 32]) {
        const ratio = decodeStepSeconds(found, requests, requests * 500) * speed /
          decodeStepSeconds(truth, requests, requests * 500)
        expect(Math.abs(ratio - 1)).toBeLessThan(TOLERANCE)
      }
      expect(found.kvCapacityTokens).toBe(Math.floor(truth.kvCapacityTokens / 16) * 16)
      expect(await warmroute(["check", file, "--offline"])).toMatchObject({ code: 0, stderr: "" })
      await eventually("the pod is idle", () => !pod.engine.hasWork)
    },
    60_000
  )

  test("Ctrl-C ends it and leaves the pod without its requests", async () => {
    const pod = podOf("small", 8)
    const running = startWarmroute(["calibrate", "--pod", pod.url])
    await eventually("the pod has work", () => pod.engine.hasWork)
    running.signal("SIGINT")
    const { code, stderr, stdout } = await running.ended
    expect([code, stdout]).toEqual([1, ""])
    expect(stderr).toContain("stopped by SIGINT; nothing was written")
    await eventually("the pod is idle", () => !pod.engine.hasWork)
  })
})

describe("calibrate says what is wrong", () => {
  const failure = async (...args: ReadonlyArray<string>): Promise<string> => {
    const { code, stderr, stdout } = await warmroute(["calibrate", ...args])
    expect([code, stdout]).toEqual([1, ""])
    return stderr
  }

  test("with the URL", async () => {
    expect(await failure("--pod", "localhost")).toContain("is not a URL; write it as http://host:port")
  })

  test("with the time", async () => {
    expect(await failure("--pod", "http://127.0.0.1:1", "--within", "100")).toContain(
      `--within is "100" but must be a duration such as 100s`
    )
    expect(await failure("--pod", "http://127.0.0.1:1", "--within", "1s")).toContain("must be from 5s")
  })

  test("when the pod can't be reached", async () => {
    expect(await failure("--pod", "http://127.0.0.1:1")).toContain("http://127.0.0.1:1 does not answer as a vLLM pod")
  })

  test("when the pod does not serve the model", async () => {
    const pod = podOf("small", 1)
    expect(await failure("--pod", pod.url, "--model", "other")).toContain(
      `does not serve "other"; it serves: emulated-8b`
    )
  })

  test("when the pod has other work", async () => {
    const pod = podOf("small", 1)
    const leave = new AbortController()
    const other = fetch(`${pod.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "hello", max_tokens: 4000, ignore_eos: true }),
      signal: leave.signal
    }).catch(() => undefined)
    await eventually("the pod has work", () => pod.engine.hasWork)
    expect(await failure("--pod", pod.url)).toContain("is busy (1 running, 0 waiting)")
    leave.abort()
    await other
  })

  test("when the pod answers errors", async () => {
    const url = fakePod(() => Response.json({ error: { message: "out of \"memory\"" } }, { status: 500 }))
    expect(await failure("--pod", url)).toContain(`the pod answered 500: out of "memory"`)
  })

  test("when the time is too short for the pod", async () => {
    const url = fakePod(() => new Response(new ReadableStream({ start: () => {} })))
    expect(await failure("--pod", url, "--within", "5s")).toContain("Give it more time, as in --within 10s")
  }, 30_000)
})
