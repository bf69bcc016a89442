import type { EngineConstants } from "./EngineConstants.ts"

/** Engine constants by name, as `--hardware` and a pod's `preset` spell it. */
export const hardwarePresets: Readonly<Record<string, EngineConstants>> = {
  /** Qwen3-32B, tensor parallel over two H100. Source: DESIGN 5, calibrated against published llm-d runs. */
  "qwen3-32b-2xh100": {
    prefillTokenS: 60e-6,
    attentionPairS: 0.886e-9,
    weightReadS: 10.5e-3,
    stepFixedS: 2.2e-3,
    decodeRequestS: 35e-6,
    contextTokenS: 33e-9,
    batchedTokensMax: 8192,
    kvCapacityTokens: 335_000
  },
  /**
   * An 8B model (32 layers, 32 heads of 128, 8 KV heads) with FP8 weights on one L4 (24 GB, 300 GB/s, 121 TFLOPS).
   * Derived, not measured: 16 GFLOP a token at half of peak, 524 kFLOP an attention pair at 40 % of peak,
   * 8 GB of weights and 128 KB of KV a token read at 300 GB/s, and 8 GB left over for KV.
   */
  small: {
    prefillTokenS: 260e-6,
    attentionPairS: 10.8e-9,
    weightReadS: 27e-3,
    stepFixedS: 2.5e-3,
    decodeRequestS: 20e-6,
    contextTokenS: 440e-9,
    batchedTokensMax: 8192,
    kvCapacityTokens: 60_000
  }
}
