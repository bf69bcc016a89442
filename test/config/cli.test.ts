import { describe, expect, test } from "bun:test"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import packageJson from "../../package.json"
import { argumentFault } from "../../src/cli/argumentFault.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startWarmroute, warmroute } from "../lib/commandLine.ts"

const fileOf = async (text: string): Promise<string> => {
  const path = join(await mkdtemp(join(tmpdir(), "warmroute-cli-")), "gateway.yaml")
  await Bun.write(path, text)
  return path
}

/** No load balancer is waited for. */
const stopsAtOnce = { WARMROUTE_LIMITS_SHUTDOWN_DELAY: "1 millis" }

describe("help", () => {
  test("--version is that of the package", async () => {
    expect(await warmroute(["--version"])).toEqual({ code: 0, stdout: `${packageJson.version}\n\n`, stderr: "" })
  })

  test("no command at all shows the commands", async () => {
    const { code, stdout } = await warmroute([])
    expect(code).toBe(0)
    for (const command of ["serve", "emulate", "check"]) expect(stdout).toContain(`- ${command} `)
  })

  test.each(["serve", "emulate", "check", "explain", "calibrate", "simulate", "plan", "key"])(
    "the flags that %s --help lists are those that it takes",
    async (command) => {
      const { code, stdout } = await warmroute([command, "--help"])
      expect(code).toBe(0)
      expect(stdout).not.toContain("\u001b")
      const listed = [...stdout.matchAll(/^(--[a-z-]+)( \S+)?$/gm)]
      expect(listed.length).toBeGreaterThan(0)
      const needed = command === "check" ? ["FILE"] : command === "calibrate" ? ["--pod", "x"] : []
      for (const [, flag = "", value] of listed) {
        expect(argumentFault([command, ...needed, ...value === undefined ? [flag] : [flag, "x"]])).toBeUndefined()
        if (value !== undefined) expect(argumentFault([command, flag])).toStartWith(`${flag} needs a value`)
      }
    }
  )
})

describe("wrong arguments exit with 2 and say what was meant", () => {
  test.each([
    [["chek"], `there is no command "chek". Did you mean check?`],
    [["serve", "--pod", "http://a:1"], "there is no flag --pod. Did you mean --pods?"],
    [["serve", "--pods"], "--pods needs a value"],
    [["serve", "--pods", "--port", "1"], "--pods needs a value"],
    [["emulate", "--pods", "many"], `--pods is "many" but must be a whole number from 1 to 64`],
    [["check"], `check needs <FILE> ("warmroute check --help" says what it takes)`],
    [["check", "--offline", "a.yaml", "b.yaml"], `check has no use for "b.yaml"`],
    [["serve", "http://a:1"], `serve has no use for "http://a:1"`],
    [["serve", "-p", "1"], "there is no flag -p."],
    [["calibrate", "--json"], "calibrate needs --pod URL"]
  ])("%j", async (args, message) => {
    const { code, stderr, stdout } = await warmroute(args)
    expect(stderr).toContain(message)
    expect([code, stdout]).toEqual([2, ""])
  })
})

describe("check", () => {
  test("says what serve would do with a right file", async () => {
    const file = await fileOf("pods: [http://a:1]\npolicy: llm-d-blend\nmodels: { aliases: { gpt: llama } }")
    const { code, stderr, stdout } = await warmroute(["check", file, "--offline"])
    expect([code, stderr]).toEqual([0, ""])
    for (const part of [`${file} is right.`, "http://a:1", "llm-d-blend", "gpt = llama"]) expect(stdout).toContain(part)
  })

  test("warns of pods that don't answer, and only of those", async () => {
    const fleet = await startTestFleet(1)
    const file = await fileOf(`pods: [${fleet.urls[0]}, "http://127.0.0.1:1"]`)
    const { code, stderr } = await warmroute(["check", file]).finally(fleet.stop)
    expect(code).toBe(0)
    expect(stderr).toStartWith("warning: http://127.0.0.1:1 does not answer as a vLLM pod now: ")
    expect(stderr.trim().split("\n")).toHaveLength(1)
  })

  test("exits with 1 and the readable reason for a wrong one", async () => {
    const file = await fileOf("scrape:\n  intervall: 1 s\n")
    expect(await warmroute(["check", file])).toEqual({
      code: 1,
      stdout: "",
      stderr: `${file}:2:3: scrape.intervall is not a setting. Did you mean scrape.interval?\n`
    })
  })
})

describe("serve", () => {
  test("does not start with a wrong configuration, and says why in one message", async () => {
    const { code, stderr, stdout } = await warmroute(["serve", "--pods", "http://a:1,http://a:1", "--policy", "rondom"])
    expect([code, stdout]).toEqual([1, ""])
    expect(stderr).toContain("--pods: pods[1] repeats a:1 of pods[0]; remove one of them.")
    expect(stderr).toContain(`--policy: policy: there is no policy "rondom", did you mean "random"?`)
  })

  test("names a port that is taken and how to take another", async () => {
    const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() })
    const taken = `127.0.0.1:${other.port}`
    const args = ["serve", "--pods", "http://127.0.0.1:1", "--listen", taken, "--snapshot", "off"]
    const { code, stderr } = await warmroute(args).finally(() => other.stop(true))
    expect(code).toBe(1)
    expect(stderr).toContain(
      `warmroute can't start: can't listen on ${taken} (the port is taken); free it or take another: --port,`
    )
  })

  test.each(["no-such-host.invalid:0", "192.0.2.1:0"])("says that %s is no address of this machine", async (listen) => {
    const { code, stderr } = await warmroute([
      "serve",
      "--pods",
      "http://127.0.0.1:1",
      "--listen",
      listen,
      "--snapshot",
      "off"
    ])
    expect(code).toBe(1)
    expect(stderr).toContain(`can't listen on ${listen} (no interface of this machine has this address); take one that`)
  })

  test("without pods starts emulated ones, says so, and prints a curl command that works when pasted", async () => {
    const gateway = startWarmroute(["serve", "--port", "0", "--log-level", "none"], stopsAtOnce)
    const text = await gateway.printed("npx bun start --config gateway.yaml")
    expect(text).toContain("4 EMULATED vLLM pods, because none is configured")
    expect(text).toContain("4 of 4 pods are healthy; models: emulated-8b")
    expect(text).toContain("npx bun start --pods http://")
    const [curl] = /^ *curl (?:.*\\\n)*.*$/m.exec(text) ?? []
    const pasted = Bun.spawn(["sh", "-c", `${curl} --silent`], { stdout: "pipe" })
    const answer: unknown = await new Response(pasted.stdout).json()
    expect(answer).toMatchObject({ choices: [{ message: { content: expect.stringMatching(/\w/) } }] })
    gateway.signal("SIGTERM")
    const { code, stderr } = await gateway.ended
    expect([code, stderr]).toEqual([0, ""])
  })

  test("takes pods from a flag through `bun start`, and from the environment", async () => {
    const fleet = await startTestFleet(1)
    const common = ["--port", "0", "--snapshot", "off", "--log-level=none"]
    const viaScript = startWarmroute([...common, "--pods", fleet.urls[0] ?? ""], {}, [process.execPath, "start"])
    const viaVariable = startWarmroute(["serve", ...common], { WARMROUTE_PODS: fleet.urls[0] ?? "" })
    try {
      for (const gateway of [viaScript, viaVariable]) {
        const text = await gateway.printed("curl")
        expect(text).toContain(`1 of 1 pod is healthy; models: ${emulatedModel}`)
        expect(text).not.toContain("EMULATED")
      }
    } finally {
      viaVariable.signal("SIGINT")
      viaScript.signal("SIGINT")
      await fleet.stop()
    }
    expect((await viaVariable.ended).code).toBe(0)
    await viaScript.ended
  })

  test("on a signal lets a running answer end before it stops", async () => {
    const fleet = await startTestFleet(1, { speed: 1 })
    const gateway = startWarmroute(
      ["serve", "--port", "0", "--snapshot", "off", "--pods", fleet.urls[0] ?? ""],
      stopsAtOnce
    )
    const text = await gateway.printed("curl")
    const [url] = /http:\/\/localhost:\d+/.exec(text) ?? []
    const response = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: emulatedModel, prompt: "x", max_tokens: 30, ignore_eos: true, stream: true })
    })
    const body = response.body?.getReader()
    const first = await body?.read()
    gateway.signal("SIGTERM")
    await gateway.printed("1 open request has 30s to end")
    let rest = new TextDecoder().decode(first?.value)
    for (let piece = await body?.read(); piece?.value !== undefined; piece = await body?.read()) {
      rest += new TextDecoder().decode(piece.value)
    }
    expect(rest).toContain("data: [DONE]")
    expect((await gateway.ended).code).toBe(0)
    await fleet.stop()
  })
})

test("a second Ctrl-C ends a stop that takes long, with 0 and a good end of each stream", async () => {
  const fleet = await startTestFleet(1, { speed: 1 })
  const gateway = startWarmroute(["serve", "--port", "0", "--snapshot", "off", "--pods", fleet.urls[0] ?? ""])
  const [url] = /http:\/\/localhost:\d+/.exec(await gateway.printed("curl")) ?? []
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: emulatedModel, prompt: "x", max_tokens: 5000, ignore_eos: true, stream: true })
  })
  gateway.signal("SIGINT")
  await gateway.printed("1 open request has 30s to end")
  // A second one right after the first may be the same key press.
  const again = setInterval(() => gateway.signal("SIGINT"), 100)
  await gateway.printed("SIGINT again: open requests end now").finally(() => clearInterval(again))
  expect((await gateway.ended).code).toBe(0)
  expect(await response.text()).toContain(`"code":"gateway_stopping"`)
  await fleet.stop()
})

test("log.format json writes one object a line on stderr", async () => {
  const args = ["serve", "--pods", "http://127.0.0.1:1", "--port", "0", "--snapshot", "off"]
  const gateway = startWarmroute(args, { WARMROUTE_LOG_FORMAT: "json", ...stopsAtOnce })
  await gateway.printed("listens on")
  gateway.signal("SIGTERM")
  const { code, stderr, stdout } = await gateway.ended
  expect([code, stdout]).toEqual([0, ""])
  const lines = stderr.trim().split("\n").map((line) => JSON.parse(line) as { message: string; logLevel: string })
  const joined = { message: "pod 127.0.0.1:1 joined the pool", logLevel: "INFO" }
  expect(lines).toContainEqual(expect.objectContaining(joined))
  expect(lines.map(({ message }) => message)).toContain("pods 1 configured")
  expect(lines.map(({ message }) => message)).toContain("SIGTERM: no new requests, no request is open")
  expect(lines.at(-1)).toMatchObject({ message: "warmroute has stopped", logLevel: "INFO" })
})

test("with log.format json a start that fails is a line of the log too", async () => {
  const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() })
  const args = ["serve", "--pods", "http://127.0.0.1:1", "--listen", `127.0.0.1:${other.port}`, "--snapshot", "off"]
  const { code, stderr, stdout } = await warmroute(args, { WARMROUTE_LOG_FORMAT: "json" })
    .finally(() => other.stop(true))
  expect([code, stdout]).toEqual([1, ""])
  expect(JSON.parse(stderr.trim().split("\n").at(-1) ?? "")).toMatchObject({
    message: expect.stringContaining("warmroute can't start: can't listen on"),
    logLevel: "ERROR"
  })
})

test("emulate says which ports are taken, and when they end", async () => {
  const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() })
  const { port } = other
  const said = async (...args: ReadonlyArray<string>) => (await warmroute(["emulate", ...args])).stderr
  const taken = await said("--pods", "1", "--port", `${port}`).finally(() => other.stop(true))
  expect(taken).toBe(
    `can't start 1 emulated pod on 127.0.0.1:${port}: the port is taken; take others with --port (0: any free ones).\n`
  )
  expect(await said("--pods", "3", "--port", "65534")).toStartWith(
    "can't start 3 emulated pods on 127.0.0.1:65534 to 65536: ports end at 65535; begin lower with --port"
  )
})

test("emulate prints pods that answer and stops on a signal", async () => {
  const fleet = startWarmroute(["emulate", "--pods", "2", "--port", "0", "--speed", "50", "--model", "tiny"])
  const text = await fleet.printed("npx bun start --pods")
  const urls = text.split("\n").filter((line) => line.startsWith("  http://")).map((line) => line.trim())
  expect(urls).toHaveLength(2)
  for (const url of urls) {
    const models = await (await fetch(`${url}/v1/models`)).json() as { data: ReadonlyArray<{ id: string }> }
    expect(models.data.map((model) => model.id)).toEqual(["tiny"])
  }
  fleet.signal("SIGINT")
  expect((await fleet.ended).code).toBe(0)
})
