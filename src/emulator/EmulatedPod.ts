import type { EngineConstants } from "../core/EngineConstants.ts"
import { EngineModel } from "./engine/EngineModel.ts"
import { EngineDriver } from "./EngineDriver.ts"
import type { Generation } from "./Generation.ts"
import { LoremText } from "./LoremText.ts"
import { podHandler } from "./podRoutes.ts"
import { PodState } from "./PodState.ts"
import { Tokenizer } from "./Tokenizer.ts"

export interface EmulatedPodOptions {
  /** Interface to listen on; default 127.0.0.1. */
  readonly hostname?: string
  /** 0, the default, takes a free port. */
  readonly port?: number
  /** Served model name; default `emulated`. */
  readonly model?: string
  /** How fast the hardware is and how much KV it holds, see `hardwarePresets`. */
  readonly constants: EngineConstants
  /** Emulated seconds in a real second; default 1. */
  readonly speed?: number
  /** Tokens a KV block; default 16. */
  readonly blockSizeTokens?: number
  /** Decides the prose that answers are cut from; default 1. */
  readonly seed?: number
  /** Longest prompt and answer together; default 32768, never more than the KV cache holds. */
  readonly maxModelLen?: number
  /** Requests that may run at once; default 256. */
  readonly maxNumSeqs?: number
  /** Requests that may wait before new ones get 503; default 10000, since a queue without end is nobody's wish. */
  readonly maxNumQueuedRequests?: number
  /** Output tokens in a piece of a stream after its first token, and in an event of chat and completions; default 1. */
  readonly streamInterval?: number
  /** Names of LoRA adapters, served as models beside the base one. */
  readonly loraAdapters?: ReadonlyArray<string>
  /** Mean tokens of an answer that ends by itself; default 256. */
  readonly outputTokensMean?: number
  /** Accept `tool_choice: "auto"`; default true. */
  readonly toolCallParser?: boolean
  /** Serve embeddings, rerank, score, classify, pooling and audio too; default true. */
  readonly poolingAndAudio?: boolean
  /** Largest request body in bytes; default 1 GiB. vLLM itself takes any, so nobody should meet it. */
  readonly bodyBytesMax?: number
}

export interface EmulatedPod {
  readonly url: string
  readonly port: number
  /** For tests and benches: the engine behind the server, to be read and not to be written. */
  readonly engine: EngineModel<unknown>
  /** Closes the port and every connection, as a killed pod would. */
  readonly stop: () => Promise<void>
}

const BODY_BYTES_MAX = 1024 ** 3

/** Starts one vLLM look-alike. Throws when the port is taken. */
export const startEmulatedPod = (options: EmulatedPodOptions): EmulatedPod => {
  const blockSizeTokens = options.blockSizeTokens ?? 16
  const kvTokens = (Math.floor(options.constants.kvCapacityTokens / blockSizeTokens) - 1) * blockSizeTokens
  const maxModelLen = Math.min(options.maxModelLen ?? 32_768, kvTokens)
  const engine = new EngineModel<Generation>({
    constants: options.constants,
    blockSizeTokens,
    maxNumSeqs: options.maxNumSeqs ?? 256,
    maxModelLen
  })
  const driver = new EngineDriver({
    engine,
    speed: options.speed ?? 1,
    maxNumQueuedRequests: options.maxNumQueuedRequests ?? 10_000,
    streamInterval: options.streamInterval ?? 1
  })
  const served = {
    model: options.model ?? "emulated",
    loraAdapters: options.loraAdapters ?? [],
    maxModelLen,
    blockSizeTokens,
    outputTokensMean: options.outputTokensMean ?? 256,
    toolCallParser: options.toolCallParser ?? true,
    poolingAndAudio: options.poolingAndAudio ?? true
  }
  const tokenizer = new Tokenizer()
  const pod = new PodState(served, driver, tokenizer, new LoremText(tokenizer, options.seed ?? 1))
  const server = Bun.serve({
    hostname: options.hostname ?? "127.0.0.1",
    port: options.port ?? 0,
    // vLLM has no limit between tokens, and Bun's default of 10 s would cut slow streams.
    idleTimeout: 0,
    maxRequestBodySize: options.bodyBytesMax ?? BODY_BYTES_MAX,
    fetch: podHandler(pod)
  })
  return {
    url: `http://${server.hostname}:${server.port}`,
    port: server.port!,
    engine,
    stop: async () => {
      driver.stop()
      await server.stop(true)
    }
  }
}

export interface EmulatedFleet {
  readonly pods: ReadonlyArray<EmulatedPod>
  readonly urls: ReadonlyArray<string>
  readonly stop: () => Promise<void>
}

/** Starts `count` equal pods on `basePort`, `basePort + 1`, …, or on free ports when `basePort` is 0. Throws when one is taken. */
export const startEmulatedFleet = (
  count: number,
  basePort: number,
  options: Omit<EmulatedPodOptions, "port">
): EmulatedFleet => {
  const pods: Array<EmulatedPod> = []
  const stop = async () => {
    await Promise.all(pods.map((pod) => pod.stop()))
  }
  try {
    for (let index = 0; index < count; index++) {
      pods.push(startEmulatedPod({ ...options, port: basePort === 0 ? 0 : basePort + index }))
    }
  } catch (error) {
    void stop()
    throw error
  }
  return { pods, urls: pods.map((pod) => pod.url), stop }
}
